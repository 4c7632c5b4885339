"""Assign `arrived_at` to published payments: the time they occurred, or a neighbour's if theirs is unusable.

A payment with a missing or future time therefore still lands on a day, and validation quarantines it there.
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
    """Set `arrived_at` in the tables of one file, which have `BATCH_SCHEMA`.

    A time is usable from 1970 to five minutes after `now`. A payment without a usable time takes that of the last
    payment before it that has one, else of the first after it. Raises `DataError` for a file with no usable time.
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
        raise DataError(
            f"the column TX_DATETIME of {path} has no usable time, only nulls, future times or times before 1970: "
            "correct the times"
        )


def _times(occurred: pa.ChunkedArray, now: datetime) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Whether each time is usable, and all times in microseconds since 1970; both of shape (n,)."""
    after_epoch = pc.greater_equal(occurred, pa.scalar(EPOCH, INSTANT))
    before_now = pc.less_equal(occurred, pa.scalar(now + MAX_CLOCK_SKEW, INSTANT))
    usable = pc.fill_null(pc.and_(after_epoch, before_now), False).to_numpy()
    return usable, occurred.cast(pa.int64()).fill_null(0).to_numpy()


def _carried_forward(micros: NDArray[np.int64], usable: NDArray[np.bool_], before: int) -> NDArray[np.int64]:
    """Unusable times replaced by the last usable one, or by `before` if there is none; shape (n,)."""
    last_usable = np.maximum.accumulate(np.where(usable, np.arange(len(micros)), -1))
    return np.where(last_usable >= 0, micros[last_usable], before)


def _arrived(table: pa.Table, micros: NDArray[np.int64]) -> pa.Table:
    column = table.schema.get_field_index("arrived_at")
    return table.set_column(column, BATCH_SCHEMA.field("arrived_at"), pa.array(micros).cast(INSTANT))
