"""When published payments arrived: when they occurred, or, where that says nothing, when their neighbours did.

So a payment without a time, or with one that has not been yet, still lands on some day, where validation meets it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bank.errors import DataError
from bank.feed import BATCH_SCHEMA, INSTANT
from contracts.transaction import EPOCH, MAX_CLOCK_SKEW


def with_arrivals(tables: Iterator[pa.Table], now: datetime, path: Path) -> Iterator[pa.Table]:
    """Give the payments of one file, in `BATCH_SCHEMA`, their `arrived_at`.

    A time is usable from 1970 to five minutes after `now`. Where it is not, the payment arrived with the last one
    before it that has one, else with the first one after it. Raises `DataError` for a file without any usable time.
    """
    latest: int | None = None
    timeless: list[pa.Table] = []
    for table in tables:
        usable, micros = _times(table["occurred_at"], now)
        if latest is None:
            if not usable.any():
                timeless.append(table)
                continue
            latest = int(micros[np.argmax(usable)])
            yield from (_arrived(early, np.full(len(early), latest)) for early in timeless)
            timeless.clear()
        arrived = _carried_forward(micros, usable, latest)
        yield _arrived(table, arrived)
        latest = int(arrived[-1]) if len(arrived) else latest
    if any(map(len, timeless)):
        raise DataError(f"{path}: the column TX_DATETIME holds no usable time, only nulls or times yet to come")


def _times(occurred: pa.ChunkedArray, now: datetime) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which times are usable, and all as microseconds since 1970; both of shape (n,)."""
    begun = pc.greater_equal(occurred, pa.scalar(EPOCH, INSTANT))
    been = pc.less_equal(occurred, pa.scalar(now + MAX_CLOCK_SKEW, INSTANT))
    usable = pc.fill_null(pc.and_(begun, been), False).to_numpy()
    return usable, occurred.cast(pa.int64()).fill_null(0).to_numpy()


def _carried_forward(micros: NDArray[np.int64], usable: NDArray[np.bool_], before: int) -> NDArray[np.int64]:
    """Each time, or the last usable one up to it, `before` where there is none; shape (n,)."""
    last_usable = np.maximum.accumulate(np.where(usable, np.arange(len(micros)), -1))
    return np.where(last_usable >= 0, micros[last_usable], before)


def _arrived(table: pa.Table, micros: NDArray[np.int64]) -> pa.Table:
    place = table.schema.get_field_index("arrived_at")
    return table.set_column(place, BATCH_SCHEMA.field("arrived_at"), pa.array(micros).cast(INSTANT))
