"""What modelling reads of the lake: days of features, and fraud reports."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contracts.days import DayRange
from contracts.features import FEATURES
from contracts.transaction import FRAUD_PATTERNS
from modeling.errors import ModelingError

FILE: Final = "part.parquet"
COLUMNS: Final = ["transaction_id", "customer_id", "occurred_at", *FEATURES]
CLEAN_COLUMNS: Final = ["transaction_id", "customer_id", "terminal_id", "amount_cents", "occurred_at"]
REPORT_COLUMNS: Final = ["transaction_id", "reported_at"]
PATTERN: Final = "pattern"
"""An optional column of the reports, for analysis: never among `COLUMNS`."""
UNKNOWN_PATTERN: Final = 0


def history_of(lake: Path, wanted: DayRange) -> DayRange:
    """The first to the last day of the lake's features. Raises `ModelingError` where a wanted day was not built."""
    days = _days(lake, "features")
    if not days:
        raise ModelingError(f"no features in {lake / 'features'} (LAKE_URI): run build_features over {wanted} first")
    history = DayRange(days[0], days[-1])
    if wanted.first < history.first or wanted.last > history.last:
        # Beyond the last day no reports came in either, and every fraud would pass for genuine.
        raise ModelingError(
            f"the lake {lake} has features of {history}, not all of {wanted}: build the others first, or ask for fewer"
        )
    built = set(days)
    # A day without payments has no partition; but what is clean must have been built.
    missing = [day for day in _days(lake, "clean") if wanted.first <= day <= wanted.last and day not in built]
    if missing:
        raise ModelingError(
            f"{len(missing)} days of {wanted} have clean payments and no features, the first {missing[0]}: "
            "run build_features over them first"
        )
    return history


def whole_history(lake: Path) -> DayRange:
    """All days of the lake's features. Raises `ModelingError` where there are none, or one among them was not built."""
    days = _days(lake, "features")
    if not days:
        raise ModelingError(
            f"no features in {lake / 'features'} (LAKE_URI): run `make demo` first, or name another lake"
        )
    return history_of(lake, DayRange(days[0], days[-1]))


def read_features(lake: Path, days: DayRange) -> pa.Table:
    """`COLUMNS` of these days in order. Raises `ModelingError` where there is no day, or one cannot be read."""
    return _read_days(lake, "features", days, COLUMNS, "build_features")


def read_clean(lake: Path, days: DayRange) -> pa.Table:
    """`CLEAN_COLUMNS` of these days in order. Raises `ModelingError` where there is no day, or one cannot be read."""
    return _read_days(lake, "clean", days, CLEAN_COLUMNS, "validate")


def read_reports(lake: Path, until: int) -> pa.Table:
    """`transaction_id, reported, pattern`: each payment's earliest report, of those that had come by second `until`.

    The pattern is `UNKNOWN_PATTERN` where that report names none; of two in the same second, one that names one counts.
    """
    files = sorted((lake / "reports").glob(f"day=*/{FILE}"))
    if not files:
        raise ModelingError(f"no fraud reports in {lake / 'reports'} (LAKE_URI): run ingest over the days first")
    table = pa.concat_tables([_read_reports(file) for file in files])
    table = table.filter(pc.less_equal(table["reported"], until))
    table = table.sort_by([("transaction_id", "ascending"), ("reported", "ascending"), (PATTERN, "descending")])
    # The first of each payment; group_by would give the payments back in no order.
    return table.filter(pa.array(np.diff(table["transaction_id"].to_numpy(), prepend=-1) != 0))


def seconds(instants: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whole seconds since 1970 of instants from 1970 on."""
    return pc.divide(instants.cast(pa.timestamp("us", "UTC")).cast(pa.int64()), 1_000_000)


def _days(lake: Path, table: str) -> list[date]:
    found = (lake / table).glob(f"day=????-??-??/{FILE}")
    return sorted(date.fromisoformat(file.parent.name.removeprefix("day=")) for file in found)


def _read_days(lake: Path, table: str, days: DayRange, columns: list[str], job: str) -> pa.Table:
    files = [file for day in days.days() if (file := lake / table / f"day={day}" / FILE).exists()]
    if not files:
        raise ModelingError(f"no {table} of {days} in {lake / table}: run {job} over these days first")
    return pa.concat_tables([_read(file, columns, job) for file in files])


def _read_reports(file: Path) -> pa.Table:
    table = _read(file, REPORT_COLUMNS, "ingest", optional=(PATTERN,))
    if PATTERN not in table.column_names:
        table = table.append_column(PATTERN, pa.nulls(len(table), pa.int64()))
    table = table.filter(pc.and_(table["transaction_id"].is_valid(), table["reported_at"].is_valid()))
    codes = table[PATTERN].cast(pa.int64())
    named = pc.is_in(codes, pa.array(list(FRAUD_PATTERNS), pa.int64()))
    patterns = pc.if_else(named, codes, UNKNOWN_PATTERN)
    return pa.table(
        {"transaction_id": table["transaction_id"], "reported": seconds(table["reported_at"]), PATTERN: patterns}
    )


def _read(file: Path, columns: list[str], job: str, optional: tuple[str, ...] = ()) -> pa.Table:
    try:
        with pq.ParquetFile(file) as parquet:
            there = parquet.schema_arrow.names
            missing = set(columns) - set(there)
            table = None if missing else parquet.read([*columns, *(name for name in optional if name in there)])
    except (pa.ArrowException, OSError) as error:
        raise ModelingError(f"{file} cannot be read: run {job} over this day again ({error})") from error
    if table is None:
        raise ModelingError(f"{file} lacks {', '.join(sorted(missing))}: it was built by other code, run {job} again")
    return table
