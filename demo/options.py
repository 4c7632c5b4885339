"""The options of `make demo` and `make serve`: the data, its size and the ports."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from demo.embedded_servers import ROOT
from demo.map_tables import table_of_map, zone_of_map

MIN_DAYS = 40
MAPS = ROOT / "bank/maps"


class OptionsError(Exception):
    """An invalid option; names it and says why."""


class Options(BaseSettings):
    """Read from the environment, where make puts its variables; an empty variable counts as unset."""

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True)

    data: Path | None = None
    map: str | None = None
    """How to read `data`: a TOML file, or the name of one in `bank/maps`."""
    days: int = Field(default=120, ge=MIN_DAYS, le=3_650)
    customers: int = Field(default=1_000, ge=50, le=1_000_000)
    seed: int = Field(default=0, ge=0, lt=2**63)
    bank_zone: str = "UTC"
    """The IANA name of the zone that night and weekend are local to; by default the zone of `map`, if it has one."""
    postgres_port: int | None = None
    valkey_port: int | None = None
    mlflow_port: int | None = None
    airflow_port: int | None = None
    scorer_port: int | None = None

    @field_validator("data")
    @classmethod
    def _exists(cls, data: Path | None) -> Path | None:
        if data is None:
            return None
        if not data.expanduser().exists():
            raise ValueError(f"there is no file or folder {data}: set DATA to a file or folder of payments")
        return data.expanduser().resolve()

    @field_validator("map")
    @classmethod
    def _is_a_map(cls, name: str | None) -> str | None:
        if name is None or (MAPS / f"{name}.toml").is_file():
            return name
        path = Path(name).expanduser()
        if not path.is_file():
            shipped = ", ".join(sorted(one.stem for one in MAPS.glob("*.toml")))
            raise ValueError(f"there is no such file: give a TOML file, or one of {shipped}")
        return str(path.resolve())

    @model_validator(mode="after")
    def _fit_together(self) -> Options:
        if self.map is not None and self.data is None:
            raise ValueError("MAP needs data: set DATA to a file of transactions or a folder of them")
        if self.map is None and self.data is not None and not self.data.is_dir():
            raise ValueError(f"DATA={self.data} is a file: set MAP too, which `make check-data` guesses")
        if self._map_file is not None and "bank_zone" not in self.model_fields_set:
            try:
                zone = zone_of_map(self._map_file)
            except ValueError as error:
                raise ValueError(f"MAP={self.map}: {error}") from None
            self.bank_zone = self._is_a_zone(zone)
        return self

    @property
    def labelled(self) -> bool:
        """Whether the data has labels, so that a model can be trained; a map that cannot be read fails at loading."""
        if self._map_file is None:
            return True
        columns = table_of_map(self._map_file, "columns")
        return columns is None or "fraud" in columns

    @property
    def _map_file(self) -> Path | None:
        if self.map is None:
            return None
        shipped = MAPS / f"{self.map}.toml"
        return shipped if shipped.is_file() else Path(self.map)

    @field_validator("bank_zone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        # Early, before anything is deleted. A machine without the database finds out in the first Spark job.
        known = available_timezones()
        if known and name != "UTC" and name not in known:
            close = _closest_zones(name, known) or ["a name such as Europe/Berlin, or UTC"]
            raise ValueError(f"it is not a time zone of the IANA database: write {' or '.join(close)}")
        return name

    @property
    def feed(self) -> list[str]:
        """The data options as arguments of the bank's commands."""
        if self.data is not None:
            return ["--data", str(self.data), *(["--map", self.map] if self.map else [])]
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
            (f"{str(item['loc'][0]).upper()}={item['input']}: " if item["loc"] else "")
            + item["msg"].removeprefix("Value error, ")
            for item in error.errors()
        ]
        raise OptionsError("; ".join(problems)) from error
