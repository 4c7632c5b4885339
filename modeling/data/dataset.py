"""Read features and labels from the lake as arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.days import DayRange
from contracts.features import FEATURES
from contracts.labels import NEVER, known_at, known_from
from contracts.zones import ZoneId
from modeling.data.lake import (
    PATTERN,
    UNKNOWN_PATTERN,
    read_features,
    read_reports,
    read_unknown_labels,
    seconds,
    zone_of_features,
)
from modeling.data.split import Split
from modeling.errors import ModelingError


@dataclass(frozen=True)
class Dataset:
    """The payments of one window: `features` of shape (n, len(FEATURES)), the others (n,); `occurred` in seconds.

    `patterns` are codes of `FRAUD_PATTERNS`, 0 if unknown or genuine; they are for analysis, never a model's input.
    `left_out` payments of these days are not among them, because their label is unknown (`contracts/labels.py`).
    """

    features: NDArray[np.float64]
    frauds: NDArray[np.bool_]
    amounts: NDArray[np.float64]
    transaction_id: NDArray[np.int64]
    customer_id: NDArray[np.int64]
    occurred: NDArray[np.int64]
    patterns: NDArray[np.int64]
    left_out: int = 0


@dataclass(frozen=True)
class SplitData:
    """The three windows, a fingerprint of their content, and the zone of their features."""

    training: Dataset
    validation: Dataset
    test: Dataset
    fingerprint: str
    zone: ZoneId = field(default_factory=ZoneId)

    @property
    def windows(self) -> dict[str, Dataset]:
        """The windows by name, in order of time."""
        return {"training": self.training, "validation": self.validation, "test": self.test}


def read_split(lake: Path, split: Split) -> SplitData:
    """Read each window with the labels known when it is used.

    Raises `ModelingError` for missing data, features of more than one zone, and a window without frauds or without
    genuine payments.
    """
    zone = zone_of_features(lake, DayRange(split.training.first, split.test.last))
    reports, unknown = read_reports(lake, split.evaluated_at), read_unknown_labels(lake)
    training = read_window(lake, split.training, reports, split.trained_at, unknown)
    validation = read_window(lake, split.validation, reports, split.validated_at, unknown)
    test = read_window(lake, split.test, reports, split.evaluated_at, unknown)
    data = SplitData(training, validation, test, "", zone)
    for name, window in data.windows.items():
        _require_both_kinds(name, getattr(split, name), window)
    return replace(data, fingerprint=fingerprint(data.windows))


def read_test(lake: Path, split: Split) -> Dataset:
    """Read the test window only. Raises `ModelingError` for missing data."""
    return read_window(lake, split.test, read_reports(lake, split.evaluated_at), split.evaluated_at)


def read_window(
    lake: Path, days: DayRange, reports: pa.Table, labels_at: int, unknown: NDArray[np.int64] | None = None
) -> Dataset:
    """Read the payments of some days with the labels known at second `labels_at`. Raises `ModelingError`.

    Payments with an `unknown` label, read from the lake if not given, are left out.
    """
    unknown = read_unknown_labels(lake) if unknown is None else unknown
    whole = read_features(lake, days)
    table = whole if len(unknown) == 0 else whole.filter(~np.isin(whole["transaction_id"].to_numpy(), unknown))
    numbers = table["transaction_id"].to_numpy()
    occurred = seconds(table["occurred_at"]).to_numpy()
    features = np.column_stack([table[name].to_numpy() for name in FEATURES])
    frauds = known_at(occurred, _of_reports(numbers, reports, "reported", NEVER), labels_at)
    return Dataset(
        features=features,
        frauds=frauds,
        amounts=features[:, FEATURES.index("amount")],
        transaction_id=numbers,
        customer_id=table["customer_id"].to_numpy(),
        occurred=occurred,
        patterns=np.where(frauds, _of_reports(numbers, reports, PATTERN, UNKNOWN_PATTERN), UNKNOWN_PATTERN),
        left_out=len(whole) - len(table),
    )


def rows_of(data: Dataset, rows: NDArray[np.int64]) -> Dataset:
    """The payments at the given positions, in the order given; those left out are not counted."""
    arrays = {name: values[rows] for name, values in vars(data).items() if isinstance(values, np.ndarray)}
    return replace(data, **arrays, left_out=0)


def fingerprint(windows: Mapping[str, Dataset]) -> str:
    """The SHA-256 of the windows' names and of all their data that affects a model, in order."""
    digest = hashlib.sha256()
    for name, data in windows.items():
        digest.update(f"{name} {data.features.shape}".encode())
        for array in (data.transaction_id, data.customer_id, data.occurred, data.features, data.frauds):
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def known_seconds(data: Dataset, reports: pa.Table) -> NDArray[np.int64]:
    """The second from which each payment is known to be a fraud, `NEVER` without a report; shape (n,)."""
    return known_from(data.occurred, _of_reports(data.transaction_id, reports, "reported", NEVER))


def _of_reports(numbers: NDArray[np.int64], reports: pa.Table, column: str, without: int) -> NDArray[np.int64]:
    """A column of each payment's earliest report, `without` if it has none; shape (n,)."""
    known, values = reports["transaction_id"].to_numpy(), reports[column].to_numpy()
    if len(known) == 0:
        return np.full(len(numbers), without, dtype=np.int64)
    at = np.minimum(known.searchsorted(numbers), len(known) - 1)
    return np.where(known[at] == numbers, values[at], without)


def _require_both_kinds(name: str, days: DayRange, data: Dataset) -> None:
    frauds = int(data.frauds.sum())
    if frauds in (0, len(data.frauds)):
        raise ModelingError(
            f"the {name} window {days} has {frauds:,} known frauds among {len(data.frauds):,} payments"
            f"{_left_out(data)}, but needs both frauds and genuine payments: use more days or more customers"
        )


def _left_out(data: Dataset) -> str:
    return f" ({data.left_out:,} more have an unknown label)" if data.left_out else ""
