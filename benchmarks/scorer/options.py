"""How much is measured."""

from __future__ import annotations

from typing import Final

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from demo.options import OptionsError

WARM_UP_SECONDS: Final = 1.0
CLIENTS: Final = (1, 16)


class Options(BaseSettings):
    """Read from the environment, where make puts its variables; an empty one counts as not given."""

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True, frozen=True)

    rounds: int = Field(default=5, ge=1, le=100)
    seconds_each: float = Field(default=4.0, gt=0, le=600)


def read_options() -> Options:
    """The options. Raises `OptionsError`, in one line, for what cannot be."""
    try:
        return Options()
    except ValidationError as error:
        said = [f"{str(item['loc'][0]).upper()}={item['input']}: {item['msg']}" for item in error.errors()]
        raise OptionsError("; ".join(said)) from error
