"""Published payments, in the format of the Fraud Detection Handbook: Parquet files or daily pickles in one folder."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bank.errors import DataError
from bank.feed import BATCH_SCHEMA, INSTANT, Batch, days_of
from contracts.transaction import EPOCH, MAX_CLOCK_SKEW

COLUMNS: Final = ("TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD")
IDS: Final = {"TRANSACTION_ID": "transaction_id", "CUSTOMER_ID": "customer_id", "TERMINAL_ID": "terminal_id"}
FEATURE_MARKS: Final = ("_WINDOW", "TX_DURING_")
"""Columns named so hold features: such a file repeats payments for comparison and is no feed."""
BATCH_ROWS: Final = 250_000


@dataclass(frozen=True)
class PublishedFeed:
    """The payment files of a folder, in order of name. `now` is the clock by which a payment may lie in the future."""

    folder: Path
    now: datetime

    @cached_property
    def files(self) -> list[Path]:
        """The files that hold payments. Raises `DataError` where there is none."""
        if not self.folder.is_dir():
            raise DataError(f"there is no folder {self.folder}: give DATA= a folder of Parquet files or daily pickles")
        found = [path for path in sorted(self.folder.iterdir()) if path.suffix in (".parquet", ".pkl")]
        payments = [path for path in found if _holds_payments(path)]
        if not payments:
            raise DataError(
                f"no payments in {self.folder}: expected Parquet files or daily pickles (.pkl) with the columns "
                + ", ".join(COLUMNS)
            )
        return payments

    def days(self) -> list[date]:
        """The days (of arrival) that have payments. Reads, and so checks, every file."""
        return sorted({day for batch in self.batches() for day in days_of(batch.rows["arrived_at"])})

    def total(self) -> int | None:
        """How many payments the files hold; only Parquet says so without being read."""
        if any(path.suffix == ".pkl" for path in self.files):
            return None
        return sum(int(_open_parquet(path).metadata.num_rows) for path in self.files)

    def batches(self) -> Iterator[Batch]:
        """The payments, as they stand in the files; each arrives when it occurs."""
        latest: datetime | None = None
        for path in self.files:
            source, row = f"file:{_digest(path)}", 0
            for table in _tables(path):
                rows = _in_our_columns(table, row, path)
                rows, latest = _with_arrivals(rows, latest, self.now, path)
                yield Batch(source, rows)
                row += len(rows)


def _holds_payments(path: Path) -> bool:
    if path.suffix == ".pkl":
        return True
    names = _open_parquet(path).schema_arrow.names
    if any(mark in name for name in names for mark in FEATURE_MARKS):
        print(f"left aside: {path.name} holds features, not payments", file=sys.stderr)
        return False
    if not set(COLUMNS) & set(names):
        print(f"left aside: {path.name} has none of the columns of payments", file=sys.stderr)
        return False
    return True


def _open_parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {_short(error)}") from error


def _tables(path: Path) -> Iterator[pa.Table]:
    if path.suffix == ".pkl":
        from bank.pickles import read_frame

        frame = read_frame(path)
        _require_columns([str(name) for name in frame.columns], path)
        yield pa.table({name: _from_pandas(frame[name], name, path) for name in COLUMNS})
        return
    file = _open_parquet(path)
    _require_columns(file.schema_arrow.names, path)
    try:
        for batch in file.iter_batches(BATCH_ROWS, columns=list(COLUMNS)):
            yield pa.Table.from_batches([batch])
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is damaged: {_short(error)}") from error


def _require_columns(names: list[str], path: Path) -> None:
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise DataError(f"{path} lacks the column {', '.join(missing)}; it has {', '.join(names)}")


def _from_pandas(column: Any, name: str, path: Path) -> pa.Array:
    """A pickle's column; ids may be strings of digits, and columns of whole numbers may be objects."""
    try:
        return pa.Array.from_pandas(column)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise DataError(f"{path}: the column {name} cannot be read: {_short(error)}") from error


def _in_our_columns(table: pa.Table, first_row: int, path: Path) -> pa.Table:
    columns = {ours: _whole_numbers(table[name], name, path) for name, ours in IDS.items()}
    columns["source_row"] = pa.array(np.arange(first_row, first_row + len(table)))
    columns["amount"] = _cast(table["TX_AMOUNT"], pa.float64(), "TX_AMOUNT", path)
    columns["occurred_at"] = _instants(table["TX_DATETIME"], path)
    columns["arrived_at"] = columns["occurred_at"]
    columns["fraud"] = pc.not_equal(_whole_numbers(table["TX_FRAUD"], "TX_FRAUD", path), 0)
    return pa.table({field.name: columns[field.name] for field in BATCH_SCHEMA}, schema=BATCH_SCHEMA)


def _whole_numbers(column: pa.ChunkedArray, name: str, path: Path) -> pa.ChunkedArray:
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    if pa.types.is_floating(column.type):
        # pandas turns a column of whole numbers with a gap into floats.
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    return _cast(column, pa.int64(), name, path)


def _instants(column: pa.ChunkedArray, path: Path) -> pa.ChunkedArray:
    if not pa.types.is_timestamp(column.type):
        raise DataError(f"{path}: the column TX_DATETIME holds {column.type}, not timestamps")
    return column.cast(INSTANT, safe=False)


def _cast(column: pa.ChunkedArray, to: pa.DataType, name: str, path: Path) -> pa.ChunkedArray:
    text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    if not (
        pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_null(column.type)
    ) and not (text and pa.types.is_integer(to)):
        raise DataError(f"{path}: the column {name} holds {column.type}, not numbers")
    try:
        return column.cast(to)
    except pa.ArrowException as error:
        raise DataError(f"{path}: the column {name} cannot be read as {to}: {_short(error)}") from error


def _with_arrivals(
    rows: pa.Table, latest: datetime | None, now: datetime, path: Path
) -> tuple[pa.Table, datetime | None]:
    """Give each row its time of arrival: when it occurred; where that says nothing, when its neighbours came."""
    occurred = rows["occurred_at"]
    usable = pc.and_(
        pc.greater_equal(occurred, pa.scalar(EPOCH, INSTANT)),
        pc.less_equal(occurred, pa.scalar(now + MAX_CLOCK_SKEW, INSTANT)),
    )
    usable = pc.fill_null(usable, False).to_numpy()
    micros = occurred.cast(pa.int64()).fill_null(0).to_numpy()
    if not usable.any() and latest is None:
        raise DataError(f"{path}: no usable time in the first {len(rows):,} rows of TX_DATETIME")
    before = _micros(latest) if latest is not None else int(micros[np.argmax(usable)])
    so_far = np.maximum.accumulate(np.concatenate(([before], np.where(usable, micros, np.iinfo(np.int64).min))))[1:]
    arrived = pa.array(np.where(usable, micros, so_far)).cast(INSTANT)
    place = rows.schema.get_field_index("arrived_at")
    last = EPOCH + np.timedelta64(int(so_far[-1]), "us").item()
    return rows.set_column(place, BATCH_SCHEMA.field("arrived_at"), arrived), last


def _micros(instant: datetime) -> int:
    since = instant - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
