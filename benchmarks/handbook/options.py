"""The options of `make handbook`: the data, the first day and the number of weeks."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from benchmarks.handbook.errors import BenchmarkError
from contracts.days import parse_day


class Options(BaseSettings):
    """Read from the environment, where make puts its variables; an empty variable counts as unset."""

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True)

    data: Path | None = None
    start: date | None = None
    """The first day of the base week; by default chosen from the data."""
    weeks: int = Field(default=4, ge=1, le=100)

    @field_validator("start", mode="before")
    @classmethod
    def _is_a_day(cls, given: Any) -> Any:
        try:
            return parse_day(given) if isinstance(given, str) else given
        except argparse.ArgumentTypeError as error:
            raise ValueError(str(error)) from error

    @property
    def folder(self) -> Path:
        """The folder of the payments. Raises `BenchmarkError` if DATA is not set."""
        if self.data is None:
            raise BenchmarkError(
                "DATA is not set: give a folder of payments in the published format: make handbook DATA=..."
            )
        return self.data


def read_options(**given: Any) -> Options:
    """The options. Raises `BenchmarkError`, in one line, for invalid values."""
    try:
        return Options(**given)
    except ValidationError as error:
        problems = [
            f"{str(item['loc'][0]).upper()}={item['input']}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors()
        ]
        raise BenchmarkError("; ".join(problems)) from error
