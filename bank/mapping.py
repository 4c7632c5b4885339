"""The map of a file of transactions: which of its columns correspond to ours, and how its values are written.

A map is a TOML file; docs/your-data.md is its reference. Everything unknown is rejected: a misspelt key that is ignored
would read the data wrongly.
"""

from __future__ import annotations

import codecs
import difflib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    field_validator,
    model_validator,
)

from contracts.zones import clock_of, zone_names

ROW: Final = ("row",)
"""As `transaction_id`: the payments have no ids, so they are numbered by their source and row."""
Kind = Literal["payment", "refund", "reversal"]
Unit = Literal["s", "ms", "us", "ns", "minute", "hour", "day"]


def closest(word: str, known: Sequence[str]) -> str:
    """The known words that are most like a word, in brackets; nothing if none is."""
    by_lower = {one.lower(): one for one in known}
    found = difflib.get_close_matches(word.lower(), list(by_lower), n=3, cutoff=0.6)
    return f" (closest: {', '.join(by_lower[one] for one in found)})" if found else ""


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Name = Annotated[str, Field(strict=True)]
Names = Annotated[tuple[Name, ...], BeforeValidator(_as_list), Field(min_length=1)]
Mark = Annotated[str, Field(min_length=1, max_length=1)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Columns(_Table):
    """Our columns by theirs; several columns identify together, or are joined by a space to a time."""

    transaction_id: Names
    customer_id: Names
    terminal_id: Names
    amount: Name
    occurred_at: Names
    fraud: Name | None = None
    reported_at: Names | None = None
    kind: Name | None = None
    currency: Name | None = None
    refund_of: Names | None = None

    @property
    def theirs(self) -> dict[str, tuple[str, ...]]:
        """Their columns by ours, without those that are not mapped and without `row`."""
        named = {ours: (value,) if isinstance(value, str) else value for ours, value in self if value is not None}
        return {ours: names for ours, names in named.items() if (ours, names) != ("transaction_id", ROW)}


class Format(_Table):
    """How the file is written."""

    delimiter: Mark = ","
    encoding: str = "utf-8"
    decimal: Mark = "."
    thousands: Mark | None = None
    prefix: str | None = Field(default=None, min_length=1)
    header: tuple[Name, ...] | None = None
    """The names of the columns of a file without a header."""
    missing: tuple[Name, ...] = ()
    """Texts that stand for a missing value, besides the empty text."""

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, encoding: str) -> str:
        try:
            return codecs.lookup(encoding).name
        except LookupError:
            raise ValueError('is not an encoding: write "utf-8", "latin-1", "cp1252" or "utf-16"') from None

    @model_validator(mode="after")
    def _marks_differ(self) -> Format:
        if self.thousands == self.decimal:
            raise ValueError(
                f'thousands and decimal are both "{self.decimal}": write thousands = "." and decimal = ",", or the '
                "reverse"
            )
        return self


class Time(_Table):
    """How times are written: a format, or a number of units since an origin; ISO 8601 if neither is given."""

    zone: str = "UTC"
    format: str | None = None
    unit: Unit | None = None
    origin: str | None = None

    @field_validator("zone")
    @classmethod
    def _is_a_zone(cls, zone: str) -> str:
        # By the package tzdata, like all zones of the bank: a machine's own database may be older.
        names = zone_names()
        if zone not in names:
            raise ValueError(f"is not a time zone: write an IANA name{closest(zone, sorted(names))}")
        return zone

    @field_validator("format")
    @classmethod
    def _is_a_format(cls, layout: str) -> str:
        try:
            datetime.strptime(datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC).strftime(layout), layout)
        except ValueError as error:
            raise ValueError(f'is not a time format ({error}): write one such as "%Y-%m-%d %H:%M:%S"') from None
        if "%" not in layout:
            raise ValueError('has no directive such as %Y: write a format such as "%Y-%m-%d %H:%M:%S"')
        return layout

    @field_validator("origin")
    @classmethod
    def _is_an_instant(cls, origin: str) -> str:
        try:
            datetime.fromisoformat(origin)
        except ValueError:
            raise ValueError('is not a date or time: write it as "2019-01-01" or "2019-01-01 00:00:00"') from None
        return origin

    @model_validator(mode="after")
    def _fit_together(self) -> Time:
        if self.format and self.unit:
            raise ValueError("has format and unit: keep format for times as text, unit for times as numbers")
        if self.origin and not self.unit:
            raise ValueError(
                'has origin without unit: write unit = "s", "ms", "us", "ns", "minute", "hour" or "day" too'
            )
        return self

    @property
    def start(self) -> datetime:
        """The instant of the number 0; an origin without an offset is in `zone`."""
        start = datetime.fromisoformat(self.origin or "1970-01-01T00:00:00Z")
        return (start if start.tzinfo else start.replace(tzinfo=clock_of(self.zone))).astimezone(UTC)


class Values(_Table):
    """What the values of the columns `fraud` and `kind` mean."""

    fraud: dict[str, StrictBool | Literal["unknown"]] | None = None
    kind: dict[str, Kind] | None = None


class Currency(_Table):
    """The currency of the amounts that are loaded, and a file of rates into it."""

    home: str = Field(min_length=1)
    rates: str | None = Field(default=None, min_length=1)


class DataMap(_Table):
    """A whole map."""

    columns: Columns
    format: Format = Format()
    time: Time = Time()
    values: Values = Values()
    currency: Currency | None = None

    @model_validator(mode="after")
    def _parts_agree(self) -> DataMap:
        for name in ("fraud", "kind"):
            if getattr(self.values, name) is not None and getattr(self.columns, name) is None:
                raise ValueError(f'[values] has {name} but [columns] has not: write {name} = "<their column>" there')
        if self.columns.refund_of is not None and self.columns.transaction_id == ROW:
            raise ValueError('[columns] has refund_of, but transaction_id is "row": payments without ids are not named')
        if (self.currency is None) != (self.columns.currency is None):
            raise ValueError(
                'a currency needs both: in [columns] currency = "<their column>", and [currency] with home = "EUR" '
                '(and rates = "rates.csv" to convert others)'
            )
        return self
