"""Weeks one after another: train, wait for the labels, test, move on. As the Fraud Detection Handbook splits.

A fold starts on a day s: its training week is s .. s + 6, the delay follows, and its test week is s + 14 .. s + 20.
Days are whole numbers, counted from any day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.labels import LABEL_DELAY_DAYS

Ints = NDArray[np.int64]

TRAINING_DAYS: Final = 7
TEST_DAYS: Final = 7
TEST_AFTER: Final = TRAINING_DAYS + LABEL_DELAY_DAYS
"""Days from a fold's start to its first test day."""
FOLD_DAYS: Final = TEST_AFTER + TEST_DAYS


@dataclass(frozen=True)
class Fold:
    """Positions of the payments to train on and to test on, in order; each of shape (m,)."""

    training: Ints
    test: Ints


def fold_at(days: Ints, customers: Ints, frauds: NDArray[np.bool_], start: int, history_days: int) -> Fold:
    """The fold that starts on day `start`, of payments given by their day, customer and label, each of shape (n,)."""
    return Fold(rows_to_train_on(days, start, history_days), rows_to_test_on(days, customers, frauds, start))


def rows_to_train_on(days: Ints, start: int, history_days: int = TRAINING_DAYS) -> Ints:
    """The payments of `history_days` days, of which the last is that of the training week."""
    end = start + TRAINING_DAYS
    return np.flatnonzero((days >= end - history_days) & (days < end))


def rows_to_test_on(
    days: Ints, customers: Ints, frauds: NDArray[np.bool_], start: int, known_on: Ints | None = None
) -> Ints:
    """The payments of the test week, without the cards known by then to be compromised.

    On test day d these are the customers with a fraud on the days from `start` to d - 8, which the label delay has made
    known; always from `start`, however long a history a model is trained on, for this is the published test set.
    `known_on` is the first day that begins with each fraud known, where reports may come later than that; shape (n,).
    """
    first = start + TEST_AFTER
    known = _known_from_day(days, customers, frauds, start, known_on)
    in_week = np.flatnonzero((days >= first) & (days < first + TEST_DAYS))
    return in_week[days[in_week] < known[in_week]]


def _known_from_day(days: Ints, customers: Ints, frauds: NDArray[np.bool_], start: int, known_on: Ints | None) -> Ints:
    """For each payment, the first day on which its customer is known to be compromised; shape (n,)."""
    in_time = days + LABEL_DELAY_DAYS + 1
    known = in_time if known_on is None else np.maximum(in_time, known_on)
    each, of = np.unique(customers, return_inverse=True)
    first = np.full(len(each), np.iinfo(np.int64).max)
    counted = frauds & (days >= start)
    np.minimum.at(first, of[counted], known[counted])
    return first[of]
