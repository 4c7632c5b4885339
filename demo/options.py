"""The options of `make demo` and `make serve`: the data, its size and the ports."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

MIN_DAYS = 40


class OptionsError(Exception):
    """An invalid option; names it and says why."""


class Options(BaseSettings):
    """Read from the environment, where make puts its variables; an empty variable counts as unset."""

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True)

    data: Path | None = None
    days: int = Field(default=120, ge=MIN_DAYS, le=3_650)
    customers: int = Field(default=1_000, ge=50, le=1_000_000)
    seed: int = Field(default=0, ge=0, lt=2**63)
    bank_zone: str = "UTC"
    """The IANA name of the zone that night and weekend are local to."""
    postgres_port: int | None = None
    valkey_port: int | None = None
    mlflow_port: int | None = None
    airflow_port: int | None = None
    scorer_port: int | None = None

    @field_validator("data")
    @classmethod
    def _is_a_folder(cls, folder: Path | None) -> Path | None:
        if folder is not None and not folder.is_dir():
            raise ValueError(f"there is no folder {folder}: set DATA to a folder of Parquet files or daily pickles")
        return folder.resolve() if folder is not None else None

    @field_validator("bank_zone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        # Early, before anything is deleted. A machine without the database finds out in the first Spark job.
        known = available_timezones()
        if known and name != "UTC" and name not in known:
            close = _closest_zones(name, known) or ["a name such as Europe/Berlin, or UTC"]
            raise ValueError(f"it is no time zone of the IANA database: write {' or '.join(close)}")
        return name

    @property
    def feed(self) -> list[str]:
        """The data options as arguments of the bank's commands."""
        if self.data is not None:
            return ["--data", str(self.data)]
        return ["--customers", str(self.customers), "--days", str(self.days), "--seed", str(self.seed)]


def _closest_zones(name: str, known: set[str]) -> list[str]:
    by_text = {zone.rpartition("/")[2].lower(): zone for zone in sorted(known)} | {zone.lower(): zone for zone in known}
    return list(dict.fromkeys(by_text[text] for text in get_close_matches(name.replace(" ", "_").lower(), by_text)))


def read_options(**given: Any) -> Options:
    """The options. Raises `OptionsError`, in one line, for invalid values."""
    try:
        return Options(**given)
    except ValidationError as error:
        problems = [
            f"{str(item['loc'][0]).upper()}={item['input']}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors()
        ]
        raise OptionsError("; ".join(problems)) from error
