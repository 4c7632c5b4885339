"""Choose the training weeks of the test and, before them, of the validation. Pure functions of days."""

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
    """The schedule for data of these days. Without `start`, the published start if covered, else the latest possible.

    Every validation week is tested before the first test day, so that all choices are made before it. Raises
    `BenchmarkError` if the test weeks are not within the days.
    """
    latest = days.last - timedelta(days=FOLD_DAYS - 1) - (weeks - 1) * WEEK
    if latest < days.first:
        raise BenchmarkError(
            f"the data has the days {days}, but WEEKS={weeks} needs {FOLD_DAYS + 7 * (weeks - 1)} days "
            "(a training week, the delay, the test weeks): lower WEEKS or use more days"
        )
    if start is None:
        start = PUBLISHED_START if days.first <= PUBLISHED_START <= latest else latest
    if not days.first <= start <= latest:
        raise BenchmarkError(
            f"START={start} is out of range: with the days {days} and WEEKS={weeks} it must be in "
            f"{days.first}..{latest}"
        )
    validation = [start - timedelta(days=TEST_AFTER) - n * WEEK for n in reversed(range(weeks))]
    return Schedule([start + n * WEEK for n in range(weeks)], [day for day in validation if day >= days.first])
