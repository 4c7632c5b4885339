"""A feed: payments as they come to the bank, in batches, with the labels that only the source knows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bank.errors import DataError
from bank.simulator import Payments, WorldSize, simulate
from contracts.labels import DAY, LABEL_DELAY
from contracts.transaction import EPOCH

INSTANT: Final = pa.timestamp("us", tz="UTC")
BATCH_SCHEMA: Final = pa.schema(
    [
        ("source_row", pa.int64()),
        ("transaction_id", pa.int64()),
        ("customer_id", pa.int64()),
        ("terminal_id", pa.int64()),
        ("amount", pa.float64()),
        ("occurred_at", INSTANT),
        ("arrived_at", INSTANT),
        ("fraud", pa.bool_()),
        ("pattern", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Batch:
    """Some payments of one source.

    `rows` has `BATCH_SCHEMA`; of it `fraud` and `pattern` never land with the payment.
    """

    source: str
    rows: pa.Table


class Feed(Protocol):
    """Where payments come from."""

    def days(self) -> list[date]:
        """The days (of arrival, UTC) that have payments, in order. Raises `DataError` for data that cannot be read."""

    def total(self) -> int:
        """How many payments there are."""

    def batches(self) -> Iterator[Batch]:
        """All payments, in the order of the source."""


@dataclass(frozen=True)
class SimulatedFeed:
    """The payments of a simulated world; each arrives when it occurs."""

    size: WorldSize

    def days(self) -> list[date]:
        """The days of the world on which somebody pays: in a very small one, not all."""
        return self._survey[0]

    def total(self) -> int:
        """How many payments the world makes."""
        return self._survey[1]

    @cached_property
    def _survey(self) -> tuple[list[date], int]:
        # To make a world takes a tenth of a second for each quarter of a million payments, so it is made to count them.
        days: set[int] = set()
        payments = 0
        for some in simulate(self.size):
            days.update(np.unique(some.occurred // DAY).tolist())
            payments += len(some.occurred)
        return [EPOCH.date() + timedelta(days=day) for day in sorted(days)], payments

    def batches(self) -> Iterator[Batch]:
        """The world, made anew."""
        for payments in simulate(self.size):
            yield Batch(self.size.name, _rows(payments))


def _rows(payments: Payments) -> pa.Table:
    instants = pa.array(payments.occurred * 1_000_000).cast(INSTANT)
    columns = [payments.transaction_id, payments.transaction_id, payments.customer_id, payments.terminal_id]
    labels = [pa.array(payments.fraud), pa.array(payments.pattern, mask=~payments.fraud)]
    return pa.table(
        [*map(pa.array, columns), pa.array(payments.cents / 100), instants, instants, *labels], schema=BATCH_SCHEMA
    )


def arrived_before(rows: pa.Table, instant: datetime) -> pa.Table:
    """The payments or reports that arrived before an instant."""
    return rows.filter(pc.less(rows["arrived_at"], pa.scalar(instant, INSTANT)))


def on_day(rows: pa.Table, day: date) -> pa.Table:
    """The payments or reports that arrived on a day."""
    before = arrived_before(rows, midnight(day) + timedelta(days=1))
    return before.filter(pc.greater_equal(before["arrived_at"], pa.scalar(midnight(day), INSTANT)))


def reports_of(rows: pa.Table) -> pa.Table:
    """The fraud reports of some payments: `source_row, transaction_id, reported_at, arrived_at, pattern`.

    The source knows its frauds from the start; the bank hears of each when the label delay has passed since it came.
    """
    frauds = rows.filter(pc.fill_null(rows["fraud"], False))
    delay = pa.scalar(timedelta(seconds=LABEL_DELAY), pa.duration("us"))
    # Payments of these sources arrive when they occur; where that is missing or nonsense, its arrival stands for it.
    reported = pc.add(frauds["arrived_at"], delay)
    return pa.table(
        {
            "source_row": frauds["source_row"],
            "transaction_id": frauds["transaction_id"],
            "reported_at": reported,
            "arrived_at": reported,
            "pattern": frauds["pattern"],
        }
    )


def midnight(day: date) -> datetime:
    """The first instant of a day, UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def days_of(instants: pa.ChunkedArray) -> list[date]:
    """The days of some instants, in order."""
    seconds = instants.cast(pa.int64()).to_numpy() // 86_400_000_000
    return [EPOCH.date() + timedelta(days=int(day)) for day in np.unique(seconds)]


def require_days(feed: Feed) -> list[date]:
    """The feed's days. Raises `DataError` where it has none."""
    days = feed.days()
    if not days:
        raise DataError("the data holds no payment")
    return days
