"""The lake's last weeks as prequential folds: what choices are made on, so that the test is never looked at."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contracts.days import DayRange, parse_day
from contracts.labels import DAY, LABEL_DELAY_DAYS
from modeling.dataset import Dataset, read_window, rows_of
from modeling.errors import ModelingError
from modeling.lake import history_of, read_reports, whole_history
from modeling.prequential import FOLD_DAYS, Fold, fold_at
from modeling.settings import Settings

FOLDS = 4
FOLD_STEP_DAYS = 7


@dataclass(frozen=True)
class Folds:
    """All payments of the days, and the first day of each fold's training week, in days since 1970."""

    data: Dataset
    starts: list[int]

    def fold(self, start: int, history_days: int) -> Fold:
        """The fold of that start, trained on that many days."""
        days: NDArray[np.int64] = self.data.occurred // DAY
        return fold_at(days, self.data.customer_id, self.data.frauds, start, history_days)

    def training(self, start: int, history_days: int) -> Dataset:
        """The payments to train on."""
        return rows_of(self.data, self.fold(start, history_days).training)

    def test(self, start: int) -> Dataset:
        """The payments to test on."""
        return rows_of(self.data, self.fold(start, FOLD_STEP_DAYS).test)


def read_folds(settings: Settings, days: DayRange, count: int = FOLDS) -> Folds:
    """The last `count` weekly folds whose labels are all known at the end of `days`.

    Raises `ModelingError` where the days are too few, or a fold has no frauds to learn or to find.
    """
    history_of(settings.lake, days)
    reports = read_reports(settings.lake, days.end_second)
    data = read_window(settings.lake, days, reports, days.end_second)
    folds = Folds(data, fold_starts(days, count))
    for start in folds.starts:
        for part in (folds.training(start, FOLD_STEP_DAYS), folds.test(start)):
            if not 0 < part.frauds.sum() < len(part.frauds):
                raise ModelingError(
                    f"a fold of {days} has {part.frauds.sum()} known frauds among {len(part.frauds)} payments, and "
                    "both kinds are needed: take more days or more customers"
                )
    return folds


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


def add_optional_days(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the options `--from` and `--to`; read them back with `days_or_all`."""
    parser.add_argument("--from", dest="first", type=parse_day, metavar="DAY", help="default: the lake's first day")
    parser.add_argument("--to", dest="last", type=parse_day, metavar="DAY", help="default: the lake's last day")


def days_or_all(parser: argparse.ArgumentParser, given: argparse.Namespace, lake: Path) -> DayRange:
    """The days that the options name, of those that the lake has; ends the program where they run backwards."""
    whole = whole_history(lake)
    try:
        return DayRange(given.first or whole.first, given.last or whole.last)
    except ValueError as error:
        parser.error(str(error))
