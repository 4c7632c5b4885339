"""What a file of payments has: its days, hours, ids and labels, counted in one pass."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bank.mapped.problems import Tally
from contracts.labels import DAY
from contracts.transaction import EPOCH
from contracts.zones import UTC, Zone

Ints = NDArray[np.int64]
WAITING: Final = 2_000_000
HOUR: Final = 3_600


@dataclass
class Distinct:
    """Counts distinct numbers in 8 bytes each."""

    seen: int = 0
    _known: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    _waiting: list[Ints] = field(default_factory=list)

    def add(self, numbers: Ints) -> None:
        """Add some numbers."""
        self.seen += len(numbers)
        self._waiting.append(np.unique(numbers))
        if sum(map(len, self._waiting)) > WAITING:
            self._merge()

    def __len__(self) -> int:
        self._merge()
        return len(self._known)

    def _merge(self) -> None:
        self._known = np.unique(np.concatenate([self._known, *self._waiting]))
        self._waiting.clear()


@dataclass
class Profile:
    """The payments of a feed; its rows are counted in `tally`. Days are in UTC, hours and weekdays in `zone`."""

    tally: Tally
    zone: Zone = UTC
    days: Counter[int] = field(default_factory=Counter)
    hours: Counter[int] = field(default_factory=Counter)
    weekdays: Counter[int] = field(default_factory=Counter)
    """By the day since 1970 modulo 7."""
    ids: dict[str, Distinct] = field(
        default_factory=lambda: {name: Distinct() for name in ("transaction_id", "customer_id", "terminal_id")}
    )
    alike: Distinct = field(default_factory=Distinct)
    lowest: float | None = None
    highest: float | None = None

    def add(self, payments: pa.Table) -> None:
        """Add some payments in `BATCH_SCHEMA`."""
        if not len(payments):
            return
        seconds = payments["occurred_at"].cast(pa.int64()).to_numpy() // 1_000_000
        local = self.zone.local(seconds)
        for counter, values in (
            (self.days, seconds // DAY),
            (self.hours, local % DAY // HOUR),
            (self.weekdays, local // DAY % 7),
        ):
            found, counts = np.unique(values, return_counts=True)
            counter.update(dict(zip(found.tolist(), counts.tolist(), strict=True)))
        for name, distinct in self.ids.items():
            distinct.add(payments[name].to_numpy())
        self.alike.add(
            _mixed([payments["customer_id"], payments["terminal_id"], payments["amount"], pa.array(seconds)])
        )
        ends = pc.min_max(payments["amount"]).as_py()
        self.lowest = ends["min"] if self.lowest is None else min(self.lowest, ends["min"])
        self.highest = ends["max"] if self.highest is None else max(self.highest, ends["max"])

    @property
    def span(self) -> int:
        """The days from the first to the last."""
        return max(self.days) - min(self.days) + 1 if self.days else 0

    @property
    def first(self) -> date | None:
        """The first day."""
        return _date(min(self.days)) if self.days else None

    @property
    def last(self) -> date | None:
        """The last day."""
        return _date(max(self.days)) if self.days else None

    def gaps(self) -> list[tuple[date, int]]:
        """Runs of days without payments: the first day of each, and their number."""
        known = sorted(self.days)
        pairs = pairwise(known)
        return [(_date(before + 1), after - before - 1) for before, after in pairs if after - before > 1]

    def repeated(self) -> int:
        """The payments whose id another payment has already."""
        return self.ids["transaction_id"].seen - len(self.ids["transaction_id"])

    def duplicates(self) -> int:
        """The payments with the customer, terminal, amount and second of another one before."""
        return self.alike.seen - len(self.alike)

    def summary(self) -> dict[str, Any]:
        """The counts as JSON."""
        return {
            "first_day": str(self.first) if self.days else None,
            "last_day": str(self.last) if self.days else None,
            "days_with_payments": len(self.days),
            "gaps": [[str(day), days] for day, days in self.gaps()],
            "repeated_ids": self.repeated(),
            "duplicates": self.duplicates(),
            "customers": len(self.ids["customer_id"]),
            "terminals": len(self.ids["terminal_id"]),
            "frauds": self.tally.frauds,
        }


def _mixed(columns: list[pa.Array | pa.ChunkedArray]) -> Ints:
    """One number for each row, the same for rows with the same values."""
    mixed = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        # The constant of Knuth's multiplicative hashing, in 64 bits.
        mixed = (mixed ^ column.to_numpy().view(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return mixed.view(np.int64)


def _date(day: int) -> date:
    return EPOCH.date() + timedelta(days=day)
