"""A split in time that never uses a label before it was known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from contracts.days import DayRange
from contracts.features import TERMINAL_HORIZON_DAYS
from contracts.labels import LABEL_DELAY_DAYS
from modeling.errors import ModelingError

WINDOW_DAYS: Final = 7
"""Days of validation and of test, where the history is long enough."""
LEAST_TRAINING_DAYS: Final = 7
LEAST_DAYS: Final = LEAST_TRAINING_DAYS + 2 * (LABEL_DELAY_DAYS + 1) + LABEL_DELAY_DAYS


@dataclass(frozen=True)
class Split:
    """Three windows with the label delay between them, and the second at which each window's labels are read.

    Training happens at the first second of validation, thresholds are chosen at the first second of test, and the test
    is judged at the end of all days.
    """

    training: DayRange
    validation: DayRange
    test: DayRange
    judged_at: int

    @property
    def trained_at(self) -> int:
        """When the training labels are read, seconds since 1970."""
        return self.validation.start_second

    @property
    def validated_at(self) -> int:
        """When the validation labels are read, seconds since 1970."""
        return self.test.start_second


def split_days(days: DayRange) -> Split:
    """Cut the days from the back: delay, test, delay, validation, delay, and training before that.

    The first days of a history have features that look back on nothing; training leaves them out where twice the least
    number of days remains. Raises `ModelingError` for too few days.
    """
    total = len(days.days())
    if total < LEAST_DAYS:
        raise ModelingError(f"{days} has {total} days, and a split with the label delay needs at least {LEAST_DAYS}")
    spare = total - 3 * LABEL_DELAY_DAYS - LEAST_TRAINING_DAYS
    window = min(WINDOW_DAYS, spare // 2)
    test = _ending(days.last - timedelta(days=LABEL_DELAY_DAYS), window)
    validation = _ending(test.first - timedelta(days=LABEL_DELAY_DAYS + 1), window)
    last = validation.first - timedelta(days=LABEL_DELAY_DAYS + 1)
    warm = days.first + timedelta(days=TERMINAL_HORIZON_DAYS)
    enough = (last - warm).days + 1 >= 2 * LEAST_TRAINING_DAYS
    training = DayRange(warm if enough else days.first, last)
    return Split(training, validation, test, days.end_second)


def _ending(last: date, length: int) -> DayRange:
    return DayRange(last - timedelta(days=length - 1), last)
