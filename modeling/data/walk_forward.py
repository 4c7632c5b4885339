"""Prequential (walk-forward) folds as in the Fraud Detection Handbook: train on a week, skip the delay, test on a week.

A fold that starts on day s has its training week on s .. s + 6, then the label delay, and its test week on
s + 14 .. s + 20. Days are integers from an arbitrary origin.
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
    """The sorted positions of a fold's training and test payments, each of shape (m,)."""

    training: Ints
    test: Ints


def fold_at(days: Ints, customers: Ints, frauds: NDArray[np.bool_], start: int, history_days: int) -> Fold:
    """The fold that starts on day `start`; `days`, `customers` and `frauds` have shape (n,)."""
    return Fold(rows_to_train_on(days, start, history_days), rows_to_test_on(days, customers, frauds, start))


def rows_to_train_on(days: Ints, start: int, history_days: int = TRAINING_DAYS) -> Ints:
    """The positions of the payments in the `history_days` days that end with the training week."""
    end = start + TRAINING_DAYS
    return np.flatnonzero((days >= end - history_days) & (days < end))


def rows_to_test_on(
    days: Ints, customers: Ints, frauds: NDArray[np.bool_], start: int, known_on: Ints | None = None
) -> Ints:
    """The positions of the test week's payments, without cards already known to be compromised.

    On test day d these are the customers with a fraud from `start` to d - 8, known after the label delay. They count
    from `start` whatever the length of the training history, as in the published test set. If reports may come after
    the label delay, `known_on`, shape (n,), is the first day at whose start each fraud is known.
    """
    first = start + TEST_AFTER
    known = _known_from_day(days, customers, frauds, start, known_on)
    in_week = np.flatnonzero((days >= first) & (days < first + TEST_DAYS))
    return in_week[days[in_week] < known[in_week]]


def _known_from_day(days: Ints, customers: Ints, frauds: NDArray[np.bool_], start: int, known_on: Ints | None) -> Ints:
    """The first day on which each payment's customer is known to be compromised; shape (n,)."""
    in_time = days + LABEL_DELAY_DAYS + 1
    known = in_time if known_on is None else np.maximum(in_time, known_on)
    each, of = np.unique(customers, return_inverse=True)
    first = np.full(len(each), np.iinfo(np.int64).max)
    counted = frauds & (days >= start)
    np.minimum.at(first, of[counted], known[counted])
    return first[of]
