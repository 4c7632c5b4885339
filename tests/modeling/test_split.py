"""The split never uses a label before it was known."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.days import DayRange
from contracts.labels import DAY, LABEL_DELAY, LABEL_DELAY_DAYS, known_from
from modeling.data.split import HISTORY_DAYS, MIN_DAYS, MIN_TRAINING_DAYS, split_days
from modeling.errors import ModelingError

START = date(2025, 1, 1)


def history(days: int) -> DayRange:
    return DayRange(START, START + timedelta(days=days - 1))


@given(st.integers(MIN_DAYS, 800))
def test_windows_keep_apart_by_the_delay_and_inside_the_days(days: int) -> None:
    whole = history(days)
    split = split_days(whole)
    assert whole.first <= split.training.first
    assert split.training.end_second + LABEL_DELAY <= split.trained_at == split.validation.start_second
    assert split.validation.end_second + LABEL_DELAY <= split.validated_at == split.test.start_second
    assert split.test.end_second + LABEL_DELAY == split.evaluated_at == whole.end_second
    assert len(split.training.days()) >= MIN_TRAINING_DAYS
    assert 1 <= len(split.test.days()) == len(split.validation.days()) <= 7


def test_the_default_history_has_weeks_to_evaluate_on() -> None:
    split = split_days(history(119))
    assert len(split.test.days()) == len(split.validation.days()) == 7
    assert split.training.first == START
    assert split.evaluated_at - split.test.end_second == LABEL_DELAY_DAYS * DAY


def test_a_history_of_40_days_is_enough() -> None:
    split = split_days(history(40))
    assert len(split.test.days()) == len(split.validation.days()) == 3
    assert split.training == DayRange(START, START + timedelta(days=12))


@given(st.integers(MIN_DAYS, 800))
def test_training_has_all_earlier_days_up_to_its_most(days: int) -> None:
    whole = history(days)
    training = split_days(whole).training
    assert training.first == whole.first or len(training.days()) == HISTORY_DAYS
    assert len(training.days()) <= HISTORY_DAYS


@given(st.integers(MIN_DAYS, 200), st.data())
def test_no_label_is_used_before_it_is_known(days: int, data: st.DataObject) -> None:
    split = split_days(history(days))
    for window, used_at in (
        (split.training, split.trained_at),
        (split.validation, split.validated_at),
        (split.test, split.evaluated_at),
    ):
        occurred = np.array([data.draw(st.integers(window.start_second, window.end_second - 1))])
        assert known_from(occurred, occurred)[0] <= used_at


def test_too_few_days_are_rejected_with_the_minimum() -> None:
    with pytest.raises(ModelingError, match=f"has {MIN_DAYS - 1} days.*at least {MIN_DAYS}"):
        split_days(history(MIN_DAYS - 1))
