"""The lake's weeks before its test window as prequential folds: what choices are made on."""

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
from modeling.data.lake import history_of, read_reports, whole_history
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
    """All payments of some days, judged at their end; `known`, shape (n,), is when each was known to be a fraud.

    `tests` has the payments to test on by the fold's start: the first day of its training week, in days since 1970.
    """

    data: Dataset
    known: Ints
    tests: dict[int, Dataset]

    @property
    def starts(self) -> list[int]:
        """The folds, in order of time."""
        return list(self.tests)

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the payments."""
        return fingerprint({"folds": self.data})

    def training(self, start: int, history_days: int) -> Dataset:
        """The payments to train on, with the labels known when the fold's first test day begins."""
        rows = rows_to_train_on(self.data.occurred // DAY, start, history_days)
        return replace(rows_of(self.data, rows), frauds=self.known[rows] <= (start + TEST_AFTER) * DAY)


def read_folds(settings: Settings, days: DayRange, count: int = FOLDS) -> Folds:
    """The last `count` weekly folds whose labels are due at the end of `days`.

    Raises `ModelingError` where the days are too few, or a fold has no frauds to learn or to find.
    """
    history_of(settings.lake, days)
    reports = read_reports(settings.lake, days.end_second)
    data = read_window(settings.lake, days, reports, days.end_second)
    known = known_seconds(data, reports)
    tests = {start: _test(data, known, start) for start in fold_starts(days, count)}
    folds = Folds(data, known, tests)
    for start, test in tests.items():
        for part in (folds.training(start, FOLD_STEP_DAYS), test):
            if not 0 < part.frauds.sum() < len(part.frauds):
                raise ModelingError(
                    f"a fold of {days} has {part.frauds.sum()} known frauds among {len(part.frauds)} payments, and "
                    "both kinds are needed: take more days or more customers"
                )
    return folds


def constraints_of(folds: Folds, features: Sequence[str] = FEATURES) -> list[int]:
    """Of trees on these features, judged once for all folds, on the first one's training payments."""
    data = folds.training(folds.starts[0], HISTORY_DAYS)
    columns = [FEATURES.index(name) for name in features]
    return monotonic_constraints(replace(data, features=data.features[:, columns]), features, CANDIDATE)


def fold_starts(days: DayRange, count: int) -> list[int]:
    """The first day of each fold, in days since 1970; the last is tested on the week before the label delay's."""
    last = days.end_second // DAY - LABEL_DELAY_DAYS - FOLD_DAYS
    first = last - (count - 1) * FOLD_STEP_DAYS
    if first < days.start_second // DAY:
        needed = FOLD_DAYS + LABEL_DELAY_DAYS + (count - 1) * FOLD_STEP_DAYS
        raise ModelingError(
            f"{days} has {len(days.days())} days, and {count} weekly folds need {needed}: take an earlier --from or a "
            "later --to"
        )
    return [first + n * FOLD_STEP_DAYS for n in range(count)]


def _test(data: Dataset, known: Ints, start: int) -> Dataset:
    known_on = np.where(known == NEVER, NEVER, -(-known // DAY))
    return rows_of(data, rows_to_test_on(data.occurred // DAY, data.customer_id, data.frauds, start, known_on))


def add_optional_days(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the options `--from` and `--to`; read them back with `days_to_choose_on`."""
    parser.add_argument("--from", dest="first", type=parse_day, metavar="DAY", help="default: the lake's first day")
    parser.add_argument(
        "--to", dest="last", type=parse_day, metavar="DAY", help="default: the day before the test window"
    )


def days_to_choose_on(parser: argparse.ArgumentParser, given: argparse.Namespace, lake: Path) -> DayRange:
    """The days that the options name; by default all before the window that a training would be tested on.

    Ends the program where they run backwards. Raises `ModelingError` for too few days.
    """
    whole = whole_history(lake)
    try:
        first = given.first or whole.first
        return DayRange(first, given.last or split_days(whole).test.first - timedelta(days=1))
    except ValueError as error:
        parser.error(str(error))
