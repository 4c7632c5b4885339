"""The published protocol: each week's training and test payments, as positions in arrays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.handbook.data import Payments
from benchmarks.handbook.schedule import PUBLISHED_START
from contracts.days import first_second
from contracts.labels import DAY
from modeling.data.dataset import Dataset
from modeling.data.split import HISTORY_DAYS
from modeling.data.walk_forward import rows_to_test_on, rows_to_train_on

Ints = NDArray[np.int64]

PUBLISHED_COUNTS: Final = (67_240, 598, 58_264, 385)
"""The numbers of training payments, training frauds, test payments and test frauds in the published base week."""


@dataclass(frozen=True)
class Week:
    """The positions of the payments of the training week, of the champion's history up to its end, and of the test."""

    start: date
    training: Ints
    history: Ints
    test: Ints


@dataclass(frozen=True)
class Prepared:
    """All payments with their features, shape (n, len(FEATURES))."""

    payments: Payments
    features: NDArray[np.float64]

    @cached_property
    def frauds(self) -> NDArray[np.bool_]:
        """Each payment's label; shape (n,)."""
        return self.payments.fraud

    def dataset(self, rows: Ints) -> Dataset:
        """The payments at `rows` as a `Dataset`."""
        payments = self.payments
        return Dataset(
            features=self.features[rows],
            frauds=payments.fraud[rows],
            amounts=payments.cents[rows] / 100,
            transaction_id=payments.transaction_id[rows],
            customer_id=payments.customer_id[rows],
            occurred=payments.occurred[rows],
            # The published figures do not distinguish patterns.
            patterns=np.zeros(len(rows), dtype=np.int64),
        )


def weeks_of(payments: Payments, starts: Iterable[date]) -> tuple[list[Week], list[str]]:
    """The weeks with both frauds and genuine payments, and a note for each week without."""
    weeks, notes = [], []
    days = payments.days
    for start in starts:
        first = first_second(start) // DAY
        week = Week(
            start,
            rows_to_train_on(days, first),
            rows_to_train_on(days, first, HISTORY_DAYS),
            rows_to_test_on(days, payments.customer_id, payments.fraud, first),
        )
        if _of_one_kind(payments.fraud[week.training]) or _of_one_kind(payments.fraud[week.test]):
            notes.append(f"the week of {start} is skipped: {_why(payments.fraud, week)}")
        else:
            weeks.append(week)
    return weeks, notes


def is_published(payments: Payments, week: Week) -> bool:
    """Whether the week has exactly the payments of the published base week."""
    train, test = payments.fraud[week.training], payments.fraud[week.test]
    counts = (len(train), int(train.sum()), len(test), int(test.sum()))
    return week.start == PUBLISHED_START and counts == PUBLISHED_COUNTS


def _why(frauds: NDArray[np.bool_], week: Week) -> str:
    lacking = [f"{name} week" for name in ("training", "test") if _of_one_kind(frauds[getattr(week, name)])]
    if len(week.training) and not len(week.test):
        return "all cards of its test payments were already known to be compromised"
    return f"only one class in its {' and its '.join(lacking)}"


def _of_one_kind(frauds: NDArray[np.bool_]) -> bool:
    return int(frauds.sum()) in (0, len(frauds))
