"""Folds, compared with a literal reading of the published protocol."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling.data.walk_forward import FOLD_DAYS, TEST_AFTER, fold_at, rows_to_test_on, rows_to_train_on

PAYMENTS = st.lists(st.tuples(st.integers(0, 40), st.sampled_from([-5, 0, 1, 2, 2**62]), st.booleans()), max_size=120)


def literal_test_rows(days: list[int], customers: list[int], frauds: list[bool], s: int) -> list[int]:
    """Train on s..s+6; test on s+14..s+20. From test day d remove the customers with a fraud in the training week, and
    those with a fraud on the days s+6 .. d-8."""
    rows = []
    for d in range(s + 14, s + 21):
        known = set()
        for day, customer, fraud in zip(days, customers, frauds, strict=True):
            if fraud and (s <= day <= s + 6 or s + 6 <= day <= d - 8):
                known.add(customer)
        rows += [n for n, day in enumerate(days) if day == d and customers[n] not in known]
    return sorted(rows)


@given(PAYMENTS, st.integers(0, 25))
def test_the_test_rows_follow_the_published_protocol(payments: list[tuple[int, int, bool]], start: int) -> None:
    days, customers, frauds = ([one[place] for one in payments] for place in range(3))
    arrays = np.array(days, dtype=np.int64), np.array(customers, dtype=np.int64), np.array(frauds, dtype=bool)
    assert rows_to_test_on(*arrays, start).tolist() == literal_test_rows(days, customers, frauds, start)


@given(PAYMENTS, st.integers(0, 25), st.integers(7, 90))
def test_a_longer_history_changes_only_the_training_rows(
    payments: list[tuple[int, int, bool]], start: int, history: int
) -> None:
    days, customers, frauds = (np.array([one[place] for one in payments]) for place in range(3))
    short = fold_at(days.astype(np.int64), customers.astype(np.int64), frauds.astype(bool), start, 7)
    fold = fold_at(days.astype(np.int64), customers.astype(np.int64), frauds.astype(bool), start, history)
    assert fold.test.tolist() == short.test.tolist()
    assert fold.training.tolist() == [n for n, day in enumerate(days) if start + 6 - history < day <= start + 6]
    assert set(short.training) <= set(fold.training)


@pytest.mark.parametrize(
    ("fraud_day", "last_tested"), [(-1, 20), (0, None), (6, None), (7, 14), (8, 15), (12, 19), (13, 20), (14, 20)]
)
def test_a_card_is_tested_until_its_fraud_is_known(fraud_day: int, last_tested: int | None) -> None:
    """It pays once a day, with one fraud; another card without fraud is always tested."""
    days = np.repeat(np.arange(-10, 25), 2)
    customers = np.tile([7, 8], 35)
    rows = rows_to_test_on(days, customers, (days == fraud_day) & (customers == 7), 0)
    tested = days[rows[customers[rows] == 7]].tolist()
    assert tested == ([] if last_tested is None else list(range(TEST_AFTER, last_tested + 1)))
    assert days[rows[customers[rows] == 8]].tolist() == list(range(TEST_AFTER, FOLD_DAYS))


def test_training_ends_before_the_delay() -> None:
    days = np.arange(100)
    assert rows_to_train_on(days, 50).tolist() == list(range(50, 57))
    assert rows_to_train_on(days, 50, 90).tolist() == list(range(57))
