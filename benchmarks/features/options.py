"""The options of `make bench-features`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from demo.options import OptionsError

PUBLISHED_ROWS: Final = 1_750_000
"""About as many as the published data has."""


class Options(BaseSettings):
    """Read from the environment, where make puts its variables; an empty variable counts as unset."""

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True, frozen=True)

    data: Path | None = None
    """A folder of payments in the published format; without it payments are simulated."""
    rows: Annotated[tuple[int, ...], NoDecode] = Field(default=(PUBLISHED_ROWS, 10 * PUBLISHED_ROWS), min_length=1)
    """Numbers of payments, separated by commas; each is a run of its own."""

    @field_validator("rows", mode="before")
    @classmethod
    def _are_numbers(cls, given: Any) -> Any:
        parts = given.split(",") if isinstance(given, str) else given
        numbers = [int(str(part).strip().replace("_", "")) for part in parts]
        if min(numbers, default=0) < 1_000:
            raise ValueError("each number must be at least 1000")
        return numbers


def read_options() -> Options:
    """The options. Raises `OptionsError`, in one line, for invalid values."""
    try:
        return Options()
    except ValidationError as error:
        problems = [f"{str(item['loc'][0]).upper()}={item['input']}: {item['msg']}" for item in error.errors()]
        raise OptionsError("; ".join(problems)) from error
