"""Split days into training, validation and test without using a label before it was known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from contracts.days import DayRange
from contracts.labels import LABEL_DELAY_DAYS
from modeling.errors import ModelingError

WINDOW_DAYS: Final = 7
"""Days of validation and of test, if the history is long enough."""
MIN_TRAINING_DAYS: Final = 2
"""Enough to run on a month of payments, but not for a good model, which needs about three months."""
MIN_DAYS: Final = MIN_TRAINING_DAYS + 2 * (LABEL_DELAY_DAYS + 1) + LABEL_DELAY_DAYS
HISTORY_DAYS: Final = 90
"""The most days of training: on the published payments, 90 days instead of one week raise average precision by .04."""


@dataclass(frozen=True)
class Split:
    """Three windows separated by the label delay, and the timestamp at which the test's labels are read.

    The model is trained at the first second of validation, thresholds are chosen at the first second of test, and the
    test is evaluated at the end of all days.
    """

    training: DayRange
    validation: DayRange
    test: DayRange
    evaluated_at: int

    @property
    def trained_at(self) -> int:
        """The timestamp (whole seconds since 1970) at which the training labels are read."""
        return self.validation.start_second

    @property
    def validated_at(self) -> int:
        """The timestamp (whole seconds since 1970) at which the validation labels are read."""
        return self.test.start_second


def split_days(days: DayRange) -> Split:
    """Split the days, from the end: delay, test, delay, validation, delay, training.

    Validation and test have `WINDOW_DAYS` days, or, in a short history, one sixth each of the days left after the three
    delays, but at least one day; training has at most `HISTORY_DAYS`. Raises `ModelingError` for too few days.
    """
    total = len(days.days())
    if total < MIN_DAYS:
        raise ModelingError(
            f"{days} has {total} days, but a split with the label delay needs at least {MIN_DAYS} days: "
            "use an earlier --from or a later --to, or load more days"
        )
    window = max(1, min(WINDOW_DAYS, (total - 3 * LABEL_DELAY_DAYS) // 6))
    test = _ending(days.last - timedelta(days=LABEL_DELAY_DAYS), window)
    validation = _ending(test.first - timedelta(days=LABEL_DELAY_DAYS + 1), window)
    last = validation.first - timedelta(days=LABEL_DELAY_DAYS + 1)
    training = DayRange(max(days.first, last - timedelta(days=HISTORY_DAYS - 1)), last)
    return Split(training, validation, test, days.end_second)


def _ending(last: date, length: int) -> DayRange:
    return DayRange(last - timedelta(days=length - 1), last)
