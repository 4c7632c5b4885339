"""Features and labels out of the lake."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from contracts.days import DayRange
from contracts.features import FEATURES
from contracts.labels import NEVER, known_at
from modeling.errors import ModelingError
from modeling.split import Split


@dataclass(frozen=True)
class Dataset:
    """Payments of one window: `features` of shape (n, len(FEATURES)), the others (n,); `occurred` in seconds."""

    features: NDArray[np.float64]
    frauds: NDArray[np.bool_]
    amounts: NDArray[np.float64]
    transaction_id: NDArray[np.int64]
    customer_id: NDArray[np.int64]
    occurred: NDArray[np.int64]


@dataclass(frozen=True)
class SplitData:
    """The three windows, and a fingerprint of all that is in them."""

    training: Dataset
    validation: Dataset
    test: Dataset
    fingerprint: str


def read_split(lake: Path, split: Split) -> SplitData:
    """Read each window with the labels known when it is used. Raises `ModelingError` for what is missing."""
    reports = read_reports(lake, split.judged_at)
    windows = {
        "training": read_window(lake, split.training, reports, split.trained_at),
        "validation": read_window(lake, split.validation, reports, split.validated_at),
        "test": read_window(lake, split.test, reports, split.judged_at),
    }
    for name, data in windows.items():
        _require_both_kinds(name, getattr(split, name), data)
    return SplitData(**windows, fingerprint=fingerprint(windows.values()))


def read_window(lake: Path, days: DayRange, reports: pa.Table, labels_at: int) -> Dataset:
    """The payments of some days, with the labels known at second `labels_at`."""
    table = _read_days(lake / "features", days)
    numbers = table["transaction_id"].to_numpy()
    occurred = _seconds(table["occurred_at"])
    features = np.column_stack([table[name].to_numpy() for name in FEATURES])
    return Dataset(
        features=features,
        frauds=known_at(occurred, _reported(numbers, reports), labels_at),
        amounts=features[:, FEATURES.index("amount")],
        transaction_id=numbers,
        customer_id=table["customer_id"].to_numpy(),
        occurred=occurred,
    )


def read_reports(lake: Path, until: int) -> pa.Table:
    """The earliest report of each payment, of those that had come by second `until`: `transaction_id, reported`."""
    folder = lake / "reports"
    files = sorted(folder.glob("day=*/*.parquet"))
    if not files:
        raise ModelingError(f"no fraud reports in {folder}: run ingest over the days first")
    tables = [pq.read_table(file, partitioning=None) for file in files]
    table = pa.concat_tables(tables)
    reports = pa.table(
        {"transaction_id": table["transaction_id"], "reported": pa.array(_seconds(table["reported_at"]))}
    )
    reports = reports.filter(pc.and_(pc.less_equal(reports["reported"], until), pc.is_valid(reports["transaction_id"])))
    earliest = reports.group_by("transaction_id").aggregate([("reported", "min")])
    return earliest.rename_columns(["transaction_id", "reported"]).sort_by("transaction_id")


def fingerprint(windows: Iterable[Dataset]) -> str:
    """The SHA-256 of the content of some windows, in order."""
    digest = hashlib.sha256()
    for data in windows:
        for array in (data.transaction_id, data.occurred, data.features, data.frauds):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _read_days(folder: Path, days: DayRange) -> pa.Table:
    files = [file for day in days.days() if (file := folder / f"day={day}" / "part.parquet").exists()]
    if not files:
        raise ModelingError(f"no partition of {days} in {folder}: run build_features over these days first")
    return pa.concat_tables([pq.read_table(file, partitioning=None) for file in files])


def _seconds(instants: pa.ChunkedArray) -> NDArray[np.int64]:
    micros: NDArray[np.int64] = instants.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
    return micros // 1_000_000


def _reported(numbers: NDArray[np.int64], reports: pa.Table) -> NDArray[np.int64]:
    known, seconds = reports["transaction_id"].to_numpy(), reports["reported"].to_numpy()
    if len(known) == 0:
        return np.full(len(numbers), NEVER, dtype=np.int64)
    at = np.minimum(known.searchsorted(numbers), len(known) - 1)
    return np.where(known[at] == numbers, seconds[at], NEVER)


def _require_both_kinds(name: str, days: DayRange, data: Dataset) -> None:
    frauds = int(data.frauds.sum())
    if frauds in (0, len(data.frauds)):
        raise ModelingError(
            f"the {name} window {days} has {frauds} known frauds among {len(data.frauds)} payments: "
            "take more days or more customers"
        )
