"""Read features, clean payments, fraud reports and unknown labels from the lake."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from contracts.days import DayRange
from contracts.features import FEATURES
from contracts.transaction import FRAUD_PATTERNS
from contracts.zones import REBUILD_ALL, ZoneId
from modeling.errors import ModelingError

FILE: Final = "part.parquet"
COLUMNS: Final = ["transaction_id", "customer_id", "occurred_at", *FEATURES]
CLEAN_COLUMNS: Final = ["transaction_id", "customer_id", "terminal_id", "amount_cents", "occurred_at"]
REPORT_COLUMNS: Final = ["transaction_id", "reported_at"]
PATTERN: Final = "pattern"
"""An optional column of the reports, for analysis: never among `COLUMNS`."""
UNKNOWN_PATTERN: Final = 0


def history_of(lake: Path, wanted: DayRange) -> DayRange:
    """The first to the last day of the lake's features. Raises `ModelingError` if a wanted day has not been built."""
    days = _days(lake, "features")
    if not days:
        raise ModelingError(f"no features in {lake / 'features'} (LAKE_URI): run build_features over {wanted} first")
    history = DayRange(days[0], days[-1])
    if wanted.first < history.first or wanted.last > history.last:
        # After the last day there are no reports either, so every fraud would count as genuine.
        raise ModelingError(
            f"the lake {lake} has features for {history}, not for all of {wanted}: build the missing days first or "
            "choose fewer"
        )
    built = set(days)
    # A day without payments has no partition, so only days with clean payments can be missing.
    missing = [day for day in _days(lake, "clean") if wanted.first <= day <= wanted.last and day not in built]
    if missing:
        raise ModelingError(
            f"{len(missing)} days of {wanted} have clean payments but no features, the first {missing[0]}: "
            "run build_features over them first"
        )
    return history


def whole_history(lake: Path) -> DayRange:
    """All days of the lake's features. Raises `ModelingError` if there are none or one in between is missing."""
    days = _days(lake, "features")
    if not days:
        raise ModelingError(
            f"no features in {lake / 'features'} (LAKE_URI): run `make demo` first or set LAKE_URI to another lake"
        )
    return history_of(lake, DayRange(days[0], days[-1]))


def read_features(lake: Path, days: DayRange) -> pa.Table:
    """`COLUMNS` of these days, in order. Raises `ModelingError` if there is no data or a file cannot be read."""
    return _read_days(lake, "features", days, COLUMNS, "build_features")


def zone_of_features(lake: Path, days: DayRange) -> ZoneId:
    """The zone that these days of features were built for. Raises `ModelingError` if it is not the same for all."""
    built = [day for day in _days(lake, "features") if days.first <= day <= days.last]
    zones = [_zone_of(lake / "features" / f"day={day}" / FILE) for day in built]
    for day, zone in zip(built, zones, strict=True):
        if zone != zones[0]:
            one, other = zones[0].versus(zone)
            raise ModelingError(
                f"the features of {built[0]} are for the zone {one}, those of {day} for {other}: {REBUILD_ALL}"
            )
    return zones[0] if zones else ZoneId()


def read_clean(lake: Path, days: DayRange) -> pa.Table:
    """`CLEAN_COLUMNS` of these days, in order. Raises `ModelingError` if there is no data or a file cannot be read."""
    return _read_days(lake, "clean", days, CLEAN_COLUMNS, "validate")


def require_reports(lake: Path) -> list[Path]:
    """The files of the fraud reports. Raises `ModelingError` if there are none: no model can be trained."""
    files = sorted((lake / "reports").glob(f"day=*/{FILE}"))
    if not files:
        raise ModelingError(
            f"cannot train without fraud reports, and there are no fraud reports in {lake / 'reports'} (LAKE_URI): run "
            "ingest over the days first; if the bank has none, load reports or payments with labels (bank.load) before"
        )
    return files


def read_reports(lake: Path, until: int) -> pa.Table:
    """Each payment's earliest report up to second `until`, with columns `transaction_id, reported, pattern`.

    The pattern is `UNKNOWN_PATTERN` if the report has none; of two reports in the same second, one with a pattern
    counts. Raises `ModelingError` if there are no reports or a file cannot be read.
    """
    table = pa.concat_tables([_read_reports(file) for file in require_reports(lake)])
    table = table.filter(pc.less_equal(table["reported"], until))
    table = table.sort_by([("transaction_id", "ascending"), ("reported", "ascending"), (PATTERN, "descending")])
    # Keep the first row of each payment; group_by would not keep the order.
    return table.filter(pa.array(np.diff(table["transaction_id"].to_numpy(), prepend=-1) != 0))


def read_unknown_labels(lake: Path) -> NDArray[np.int64]:
    """The payments whose label is unknown, sorted, each once, whenever that was said; most lakes have none.

    Raises `ModelingError` if a file cannot be read.
    """
    files = sorted((lake / "unknown_labels").glob(f"day=*/{FILE}"))
    numbers = [_read(file, ["transaction_id"], "ingest")["transaction_id"].drop_null().to_numpy() for file in files]
    return np.unique(np.concatenate([np.empty(0, dtype=np.int64), *numbers]))


def seconds(instants: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whole seconds since 1970 of instants that are not before 1970."""
    return pc.divide(instants.cast(pa.timestamp("us", "UTC")).cast(pa.int64()), 1_000_000)


def _days(lake: Path, table: str) -> list[date]:
    found = (lake / table).glob(f"day=????-??-??/{FILE}")
    return sorted(date.fromisoformat(file.parent.name.removeprefix("day=")) for file in found)


def _zone_of(file: Path) -> ZoneId:
    try:
        found = pq.read_schema(file).metadata or {}
    except (pa.ArrowException, OSError) as error:
        raise ModelingError(f"{file} cannot be read ({error}): run build_features over this day again") from error
    return ZoneId.read({name.decode(): value.decode() for name, value in found.items()})


def _read_days(lake: Path, table: str, days: DayRange, columns: list[str], job: str) -> pa.Table:
    files = [file for day in days.days() if (file := lake / table / f"day={day}" / FILE).exists()]
    if not files:
        raise ModelingError(f"no {table} for {days} in {lake / table}: run {job} over these days first")
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
        raise ModelingError(f"{file} cannot be read ({error}): run {job} over this day again") from error
    if table is None:
        raise ModelingError(
            f"{file} lacks {', '.join(sorted(missing))}: it was built by another version, run {job} again"
        )
    return table
