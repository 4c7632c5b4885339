"""The options of `make bench`."""

from __future__ import annotations

from typing import Final

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from demo.options import OptionsError

WARM_UP_SECONDS: Final = 1.0
CLIENTS: Final = (1, 16)


class Options(BaseSettings):
    """Read from the environment, where make puts its variables; an empty variable counts as unset."""

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True, frozen=True)

    rounds: int = Field(default=5, ge=1, le=100)
    seconds_each: float = Field(default=4.0, gt=0, le=600)


def read_options() -> Options:
    """The options. Raises `OptionsError`, in one line, for invalid values."""
    try:
        return Options()
    except ValidationError as error:
        problems = [f"{str(item['loc'][0]).upper()}={item['input']}: {item['msg']}" for item in error.errors()]
        raise OptionsError("; ".join(problems)) from error
