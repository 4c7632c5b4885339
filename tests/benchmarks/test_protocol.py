"""Which weeks are measured, and on which payments."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from bank.published_feed import PublishedFeed
from benchmarks.handbook.data import Payments, read_payments
from benchmarks.handbook.errors import BenchmarkError
from benchmarks.handbook.protocol import is_published, weeks_of
from benchmarks.handbook.schedule import PUBLISHED_START, schedule_of
from contracts.days import DayRange, first_second
from contracts.labels import DAY

PUBLISHED = Path(os.environ.get("HANDBOOK_DATA", Path(__file__).parents[3] / "shared/data/handbook"))
START = date(2025, 1, 1)


def days(count: int, first: date = START) -> DayRange:
    return DayRange(first, first + timedelta(days=count - 1))


def payments_of(frauds_on: set[int], length: int = 60) -> Payments:
    """Two cards a day, each payment of another card; the first of some days is a fraud."""
    count = 2 * length
    numbers = np.arange(count)
    return Payments(
        transaction_id=numbers,
        customer_id=numbers,
        terminal_id=numbers % 3,
        cents=numbers,
        occurred=first_second(START) + numbers // 2 * DAY + numbers % 2,
        fraud=np.isin(numbers // 2, sorted(frauds_on)) & (numbers % 2 == 0),
    )


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason=f"no published data: {PUBLISHED} is absent (set HANDBOOK_DATA)")
def test_the_published_base_week_has_the_published_payments() -> None:
    payments, left_aside = read_payments(PublishedFeed(PUBLISHED, datetime(2026, 1, 1, tzinfo=UTC)))
    weeks, notes = weeks_of(payments, [PUBLISHED_START, PUBLISHED_START + timedelta(days=7)])
    base = weeks[0]
    assert (left_aside, notes) == (0, [])
    assert (len(base.training), payments.fraud[base.training].sum()) == (67_240, 598)
    assert (len(base.test), payments.fraud[base.test].sum()) == (58_264, 385)
    assert is_published(payments, base)
    assert not is_published(payments, weeks[1])


def test_the_published_weeks_are_the_published_ones() -> None:
    plan = schedule_of(DayRange(date(2018, 4, 1), date(2018, 9, 4)), None, 4)
    assert [str(day) for day in plan.test] == ["2018-07-25", "2018-08-01", "2018-08-08", "2018-08-15"]
    assert [str(day) for day in plan.validation] == ["2018-06-20", "2018-06-27", "2018-07-04", "2018-07-11"]


@pytest.mark.parametrize("weeks", [1, 2, 4, 6])
def test_validation_is_tested_before_the_test_begins(weeks: int) -> None:
    plan = schedule_of(days(200), None, weeks)
    assert len(plan.test) == len(plan.validation) == weeks
    assert plan.test[-1] + timedelta(days=20) == days(200).last
    assert plan.validation[-1] + timedelta(days=20) < plan.test[0] + timedelta(days=14)


def test_a_short_history_has_fewer_validation_weeks() -> None:
    assert len(schedule_of(days(60), None, 4).validation) == 1
    assert schedule_of(days(42), None, 4).validation == []


@pytest.mark.parametrize(
    ("length", "start", "words"),
    [
        (41, None, "WEEKS=4 needs 42 days.*lower WEEKS"),
        (100, date(2024, 12, 31), "START=2024-12-31 is out of range.*it must be in 2025-01-01..2025-02-28"),
        (100, date(2025, 3, 1), "START=2025-03-01 is out of range"),
    ],
)
def test_weeks_outside_the_data_are_rejected(length: int, start: date | None, words: str) -> None:
    with pytest.raises(BenchmarkError, match=words):
        schedule_of(days(length), start, 4)


@pytest.mark.parametrize(
    ("frauds_on", "note"),
    [
        ({3, 18}, None),
        ({3}, "its test week"),
        ({18}, "its training week"),
        (set(), "its training week and its test week"),
        ({3, 7}, "its test week"),
    ],
)
def test_a_week_without_frauds_is_left_out_with_a_note(frauds_on: set[int], note: str | None) -> None:
    weeks, notes = weeks_of(payments_of(frauds_on), [START])
    assert len(weeks) == (note is None)
    assert len(notes) == (note is not None)
    assert note is None or f"the week of {START} is skipped: only one class in {note}" == notes[0]


def test_a_week_whose_cards_are_all_known_to_be_compromised_says_so() -> None:
    payments = payments_of({3, 18})
    one_card = replace(payments, customer_id=np.ones_like(payments.customer_id))
    assert "already known to be compromised" in weeks_of(one_card, [START])[1][0]
