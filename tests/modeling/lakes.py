"""A small lake of features and reports, as the jobs write it."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from contracts.days import DayRange, first_second
from contracts.features import FEATURES
from contracts.labels import DAY, LABEL_DELAY
from contracts.zones import ZoneId

INSTANT = pa.timestamp("us", tz="UTC")
START = date(2025, 1, 1)
DAYS = DayRange(START, START + timedelta(days=44))


def write_lake(
    lake: Path,
    days: DayRange = DAYS,
    a_day: int = 150,
    seed: int = 0,
    harm_of_terminals: float = 1.0,
    genuine: bool = False,
    customers: int = 40,
) -> None:
    """Write payments whose frauds have large amounts or (unless disabled) bad terminals; or all `genuine`."""
    rng = np.random.default_rng(seed)
    for number, day in enumerate(days.days()):
        features = {name: rng.integers(0, 5, a_day).astype(float) for name in FEATURES}
        features["amount"] = np.round(rng.gamma(2.0, 40.0, a_day), 2)
        features["terminal_fraud_rate_7d"] = rng.choice([0.0, 0.0, 0.0, 0.6], a_day)
        risk = (features["amount"] > 200) + harm_of_terminals * features["terminal_fraud_rate_7d"]
        frauds = rng.random(a_day) < np.clip(risk, 0.01, 0.95) * (not genuine)
        numbers = number * a_day + np.arange(a_day)
        occurred = first_second(day) + np.sort(rng.integers(0, DAY, a_day))
        who = {"customer_id": rng.integers(0, customers, a_day), "terminal_id": rng.integers(0, 60, a_day)}
        _write(
            lake / "features", day, {"transaction_id": numbers, **who, "occurred_at": _instants(occurred), **features}
        )
        reported = day + timedelta(days=LABEL_DELAY // DAY)
        reports = {"transaction_id": numbers[frauds], "reported_at": _instants(occurred[frauds] + LABEL_DELAY)}
        _write(lake / "reports", reported, reports)


def add_reports(
    lake: Path, reported: dict[int, int], patterns: list[int | None] | None = None, day: date = date(2030, 1, 1)
) -> None:
    """Add reports (payment to second) under a separate day: the day of a report must not matter.

    With `patterns`, one for each report, the column is there.
    """
    columns = {"transaction_id": np.array(list(reported)), "reported_at": _instants(np.array(list(reported.values())))}
    named = {} if patterns is None else {"pattern": pa.array(patterns, pa.int32())}
    _write(lake / "reports", day, columns | named)


def add_unknown_labels(lake: Path, numbers: list[int], day: date = date(2030, 1, 1)) -> None:
    """Say that the labels of these payments are unknown, under a separate day, which must not matter."""
    _write(lake / "unknown_labels", day, {"transaction_id": np.array(numbers, dtype=np.int64)})


def mark_zone(lake: Path, zone: ZoneId, first: date = date.min) -> None:
    """Have the files of features from a day on say that they were built for a zone, as build_features does."""
    for file in sorted((lake / "features").glob("day=*/part.parquet")):
        if date.fromisoformat(file.parent.name.removeprefix("day=")) >= first:
            rows = pq.read_table(file, partitioning=None)
            pq.write_table(rows.replace_schema_metadata(zone.fields()), file)


def _instants(seconds: np.ndarray) -> pa.Array:
    return pa.array(seconds * 1_000_000).cast(INSTANT)


def _write(table: Path, day: date, columns: dict[str, object]) -> None:
    folder = table / f"day={day}"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / "part.parquet")
