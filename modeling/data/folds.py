"""Prequential folds of the weeks before the test window, for tuning and feature selection."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contracts.days import DayRange, parse_day
from contracts.features import FEATURES
from contracts.labels import DAY, LABEL_DELAY_DAYS, NEVER
from modeling.data.dataset import Dataset, fingerprint, known_seconds, read_window, rows_of
from modeling.data.lake import history_of, read_reports, whole_history, zone_of_features
from modeling.data.split import HISTORY_DAYS, split_days
from modeling.data.walk_forward import FOLD_DAYS, TEST_AFTER, rows_to_test_on, rows_to_train_on
from modeling.errors import ModelingError
from modeling.models.estimators import CANDIDATE
from modeling.models.monotonicity import monotonic_constraints
from modeling.settings import Settings

Ints = NDArray[np.int64]

FOLDS = 4
FOLD_STEP_DAYS = 7


@dataclass(frozen=True)
class Folds:
    """The payments of some days, labelled as known at their end, and their folds.

    `known`, shape (n,), is the second from which each payment is known to be a fraud. `tests` has each fold's test
    payments by the fold's start: the first day of its training week, in days since 1970.
    """

    data: Dataset
    known: Ints
    tests: dict[int, Dataset]

    @property
    def starts(self) -> list[int]:
        """The starts of the folds, in order of time."""
        return list(self.tests)

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the payments."""
        return fingerprint({"folds": self.data})

    def training(self, start: int, history_days: int) -> Dataset:
        """A fold's training payments, with the labels known at the start of its first test day."""
        rows = rows_to_train_on(self.data.occurred // DAY, start, history_days)
        return replace(rows_of(self.data, rows), frauds=self.known[rows] <= (start + TEST_AFTER) * DAY)


def read_folds(settings: Settings, days: DayRange, count: int = FOLDS) -> Folds:
    """The last `count` weekly folds whose labels are known at the end of `days`.

    Raises `ModelingError` for too few days, missing data, features of more than one zone, or a fold without frauds or
    without genuine payments.
    """
    history_of(settings.lake, days)
    zone_of_features(settings.lake, days)
    reports = read_reports(settings.lake, days.end_second)
    data = read_window(settings.lake, days, reports, days.end_second)
    known = known_seconds(data, reports)
    tests = {start: _test(data, known, start) for start in fold_starts(days, count)}
    folds = Folds(data, known, tests)
    for start, test in tests.items():
        for part in (folds.training(start, FOLD_STEP_DAYS), test):
            if not 0 < part.frauds.sum() < len(part.frauds):
                raise ModelingError(
                    f"a fold of {days} has {part.frauds.sum()} known frauds among {len(part.frauds)} payments, but "
                    "needs both frauds and genuine payments: use more days or more customers"
                )
    return folds


def constraints_of(folds: Folds, features: Sequence[str] = FEATURES) -> list[int]:
    """The monotonic constraints for these features, chosen once for all folds on the first fold's training payments."""
    data = folds.training(folds.starts[0], HISTORY_DAYS)
    columns = [FEATURES.index(name) for name in features]
    return monotonic_constraints(replace(data, features=data.features[:, columns]), features, CANDIDATE)


def fold_starts(days: DayRange, count: int) -> list[int]:
    """The first day of each fold, in days since 1970; the last fold's test week ends one label delay before the end.

    Raises `ModelingError` for too few days.
    """
    last = days.end_second // DAY - LABEL_DELAY_DAYS - FOLD_DAYS
    first = last - (count - 1) * FOLD_STEP_DAYS
    if first < days.start_second // DAY:
        needed = FOLD_DAYS + LABEL_DELAY_DAYS + (count - 1) * FOLD_STEP_DAYS
        raise ModelingError(
            f"{days} has {len(days.days())} days, but {count} weekly folds need {needed}: use an earlier --from or a "
            "later --to"
        )
    return [first + n * FOLD_STEP_DAYS for n in range(count)]


def _test(data: Dataset, known: Ints, start: int) -> Dataset:
    known_on = np.where(known == NEVER, NEVER, -(-known // DAY))
    return rows_of(data, rows_to_test_on(data.occurred // DAY, data.customer_id, data.frauds, start, known_on))


def add_optional_days(parser: argparse.ArgumentParser) -> None:
    """Add the optional options `--from` and `--to` to `parser`; `days_to_choose_on` reads them."""
    parser.add_argument("--from", dest="first", type=parse_day, metavar="DAY", help="default: the lake's first day")
    parser.add_argument(
        "--to", dest="last", type=parse_day, metavar="DAY", help="default: the day before the test window"
    )


def days_to_choose_on(parser: argparse.ArgumentParser, given: argparse.Namespace, lake: Path) -> DayRange:
    """The days given by the options; by default all days before the test window of a training on the whole lake.

    Exits with a message if `--to` comes before `--from`. Raises `ModelingError` for too few days.
    """
    whole = whole_history(lake)
    try:
        first = given.first or whole.first
        return DayRange(first, given.last or split_days(whole).test.first - timedelta(days=1))
    except ValueError as error:
        parser.error(str(error))
