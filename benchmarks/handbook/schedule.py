"""Which weeks to train on: for the test, and before it for every choice. Pure: it sees days, not payments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from benchmarks.handbook.errors import BenchmarkError
from contracts.days import DayRange
from modeling.data.walk_forward import FOLD_DAYS, TEST_AFTER

PUBLISHED_START: Final = date(2018, 7, 25)
PUBLISHED_WEEKS: Final = 4
WEEK: Final = timedelta(days=7)


@dataclass(frozen=True)
class Schedule:
    """The first days of the training weeks, in order; `validation` may be empty."""

    test: list[date]
    validation: list[date]


def schedule_of(days: DayRange, start: date | None, weeks: int) -> Schedule:
    """The weeks of data of these days. Without a `start`: as published if it is covered, else as late as it can be.

    The last validation week is tested in the seven days before the labels of `start` are complete, so every choice is
    made before the first test day. Raises `BenchmarkError` where the test weeks are not within the days.
    """
    latest = days.last - timedelta(days=FOLD_DAYS - 1) - (weeks - 1) * WEEK
    if latest < days.first:
        raise BenchmarkError(
            f"the data's days are {days}, and WEEKS={weeks} needs {FOLD_DAYS + 7 * (weeks - 1)} of them "
            "(a training week, the delay, the test weeks): lower WEEKS, or give more days"
        )
    if start is None:
        start = PUBLISHED_START if days.first <= PUBLISHED_START <= latest else latest
    if not days.first <= start <= latest:
        raise BenchmarkError(
            f"START={start} does not fit: the data's days are {days}, so for WEEKS={weeks} it must lie in "
            f"{days.first}..{latest}"
        )
    validation = [start - timedelta(days=TEST_AFTER) - n * WEEK for n in reversed(range(weeks))]
    return Schedule([start + n * WEEK for n in range(weeks)], [day for day in validation if day >= days.first])
