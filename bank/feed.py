"""Feeds: sources of payments in batches, with the labels that only the source knows."""

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
from bank.simulator import Payments, Simulation, simulate
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

"""`fraud` is null where the label is unknown."""
REFUND_SCHEMA: Final = pa.schema(
    [
        ("source_row", pa.int64()),
        ("transaction_id", pa.int64()),
        ("kind", pa.string()),
        ("refund_of", pa.int64()),
        ("customer_id", pa.int64()),
        ("terminal_id", pa.int64()),
        ("amount", pa.float64()),
        ("occurred_at", INSTANT),
        ("arrived_at", INSTANT),
    ]
)


@dataclass(frozen=True)
class Batch:
    """Some payments of one source.

    `rows` has `BATCH_SCHEMA`; its columns `fraud` and `pattern` do not land with the payment. It may have a column
    `reported_at` too: when each fraud was reported, if the source knows it. `refunds` has `REFUND_SCHEMA`. `hashed` has
    the ids that are hashes, with a fingerprint of what was hashed: `bank/mapped/ids.py`.
    """

    source: str
    rows: pa.Table
    refunds: pa.Table | None = None
    hashed: pa.Table | None = None


class Feed(Protocol):
    """A source of payments."""

    def days(self) -> list[date]:
        """The days (of arrival, UTC) that have payments, in order. Raises `DataError` for data that cannot be read."""

    def total(self) -> int:
        """The number of payments."""

    def batches(self) -> Iterator[Batch]:
        """All payments, in the source's order."""


@dataclass(frozen=True)
class SimulatedFeed:
    """The payments of a simulation; each arrives when it occurs."""

    simulation: Simulation

    def days(self) -> list[date]:
        """The days with payments; a very small simulation may have days without."""
        return self._survey[0]

    def total(self) -> int:
        """The number of simulated payments."""
        return self._survey[1]

    @cached_property
    def _survey(self) -> tuple[list[date], int]:
        # Simulating 250,000 payments takes a tenth of a second: cheap enough to do just for counting.
        days: set[int] = set()
        payments = 0
        for block in simulate(self.simulation):
            days.update(np.unique(block.occurred // DAY).tolist())
            payments += len(block.occurred)
        return [EPOCH.date() + timedelta(days=day) for day in sorted(days)], payments

    def batches(self) -> Iterator[Batch]:
        """The payments, simulated again at each call."""
        for payments in simulate(self.simulation):
            yield Batch(self.simulation.name, _rows(payments))


def _rows(payments: Payments) -> pa.Table:
    instants = pa.array(payments.occurred * 1_000_000).cast(INSTANT)
    columns = [payments.transaction_id, payments.transaction_id, payments.customer_id, payments.terminal_id]
    labels = [pa.array(payments.fraud), pa.array(payments.pattern, mask=~payments.fraud)]
    return pa.table(
        [*map(pa.array, columns), pa.array(payments.cents / 100), instants, instants, *labels], schema=BATCH_SCHEMA
    )


def arrived_before(rows: pa.Table, instant: datetime) -> pa.Table:
    """The payments or reports that arrived before `instant`."""
    return rows.filter(pc.less(rows["arrived_at"], pa.scalar(instant, INSTANT)))


def arrived_from(rows: pa.Table, instant: datetime) -> pa.Table:
    """The payments or reports that arrived at `instant` or later."""
    return rows.filter(pc.greater_equal(rows["arrived_at"], pa.scalar(instant, INSTANT)))


def on_day(rows: pa.Table, day: date) -> pa.Table:
    """The payments or reports that arrived on `day`, UTC."""
    return arrived_from(arrived_before(rows, midnight(day) + timedelta(days=1)), midnight(day))


def reports_of(rows: pa.Table) -> pa.Table:
    """The fraud reports of some payments, with columns `source_row, transaction_id, reported_at, arrived_at, pattern`.

    The source knows its frauds from the start; each is reported to the bank when the source says so, else one label
    delay after the payment arrived.
    """
    frauds = rows.filter(pc.fill_null(rows["fraud"], False))
    delay = pa.scalar(timedelta(seconds=LABEL_DELAY), pa.duration("us"))
    # Payments of these sources arrive when they occur, so `arrived_at` also covers missing and nonsensical times.
    reported = frauds["reported_at"] if "reported_at" in rows.column_names else pc.add(frauds["arrived_at"], delay)
    return pa.table(
        {
            "source_row": frauds["source_row"],
            "transaction_id": frauds["transaction_id"],
            "reported_at": reported,
            "arrived_at": reported,
            "pattern": frauds["pattern"],
        }
    )


def unknown_labels_of(rows: pa.Table) -> pa.Table:
    """The payments that their source labels neither as fraud nor as genuine."""
    return rows.filter(pc.is_null(rows["fraud"]))


def midnight(day: date) -> datetime:
    """The first instant of a day, UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def days_of(instants: pa.ChunkedArray) -> list[date]:
    """The distinct days (UTC) of some instants, in order."""
    seconds = instants.cast(pa.int64()).to_numpy() // 86_400_000_000
    return [EPOCH.date() + timedelta(days=int(day)) for day in np.unique(seconds)]


def require_days(feed: Feed) -> list[date]:
    """The feed's days. Raises `DataError` if it has none."""
    days = feed.days()
    if not days:
        raise DataError("the feed has no payments: set more --customers or --days, or a --data folder with payments")
    return days
