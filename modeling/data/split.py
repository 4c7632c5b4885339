"""A split in time that never uses a label before it was known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from contracts.days import DayRange
from contracts.labels import LABEL_DELAY_DAYS
from modeling.errors import ModelingError

WINDOW_DAYS: Final = 7
"""Days of validation and of test, where the history is long enough."""
LEAST_TRAINING_DAYS: Final = 2
"""Enough to run on a month of payments, not to be good: a history should have three months."""
LEAST_DAYS: Final = LEAST_TRAINING_DAYS + 2 * (LABEL_DELAY_DAYS + 1) + LABEL_DELAY_DAYS
HISTORY_DAYS: Final = 90
"""As many days of training as are used, where there are as many: on the published payments, worth .04 of average
precision over a single week."""


@dataclass(frozen=True)
class Split:
    """Three windows with the label delay between them, and the second at which the test's labels are read.

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

    Of a short history validation and test take a sixth each of what is not delay, a day at least; training has
    `HISTORY_DAYS` at most. Raises `ModelingError` for too few days.
    """
    total = len(days.days())
    if total < LEAST_DAYS:
        raise ModelingError(
            f"{days} has {total} days, and a split with the label delay needs at least {LEAST_DAYS} days: "
            "take an earlier --from or a later --to"
        )
    window = max(1, min(WINDOW_DAYS, (total - 3 * LABEL_DELAY_DAYS) // 6))
    test = _ending(days.last - timedelta(days=LABEL_DELAY_DAYS), window)
    validation = _ending(test.first - timedelta(days=LABEL_DELAY_DAYS + 1), window)
    last = validation.first - timedelta(days=LABEL_DELAY_DAYS + 1)
    training = DayRange(max(days.first, last - timedelta(days=HISTORY_DAYS - 1)), last)
    return Split(training, validation, test, days.end_second)


def _ending(last: date, length: int) -> DayRange:
    return DayRange(last - timedelta(days=length - 1), last)
