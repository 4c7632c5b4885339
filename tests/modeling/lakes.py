"""A small lake of features and reports, written as the jobs write it."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from contracts.days import DayRange, first_second
from contracts.features import FEATURES
from contracts.labels import DAY, LABEL_DELAY

INSTANT = pa.timestamp("us", tz="UTC")
START = date(2025, 1, 1)
DAYS = DayRange(START, START + timedelta(days=44))


def write_lake(lake: Path, days: DayRange = DAYS, a_day: int = 150, seed: int = 0, signal: float = 1.0) -> None:
    """Payments whose frauds have large amounts or bad terminals; `signal` 0 makes frauds of chance alone."""
    rng = np.random.default_rng(seed)
    for number, day in enumerate(days.days()):
        features = {name: rng.integers(0, 5, a_day).astype(float) for name in FEATURES}
        features["amount"] = np.round(rng.gamma(2.0, 40.0, a_day), 2)
        features["terminal_fraud_rate_7d"] = rng.choice([0.0, 0.0, 0.0, 0.6], a_day)
        risk = signal * ((features["amount"] > 200) + features["terminal_fraud_rate_7d"]) + (1 - signal) * 0.05
        frauds = rng.random(a_day) < np.clip(risk, 0.01, 0.95)
        numbers = number * a_day + np.arange(a_day)
        occurred = first_second(day) + np.sort(rng.integers(0, DAY, a_day))
        who = {"customer_id": rng.integers(0, 40, a_day), "terminal_id": rng.integers(0, 60, a_day)}
        _write(
            lake / "features", day, {"transaction_id": numbers, **who, "occurred_at": _instants(occurred), **features}
        )
        reported = day + timedelta(days=LABEL_DELAY // DAY)
        reports = {"transaction_id": numbers[frauds], "reported_at": _instants(occurred[frauds] + LABEL_DELAY)}
        _write(lake / "reports", reported, reports)


def _instants(seconds: np.ndarray) -> pa.Array:
    return pa.array(seconds * 1_000_000).cast(INSTANT)


def _write(table: Path, day: date, columns: dict[str, object]) -> None:
    folder = table / f"day={day}"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / "part.parquet")
