"""The kernel, compared with literal, slow definitions of the features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import features
from contracts.features import (
    BASE_FEATURES,
    CUSTOMER_FEATURES,
    FEATURES,
    PAYMENT_FEATURES,
    TERMINAL_FEATURES,
)
from contracts.habit import HABIT_PAYMENTS
from contracts.labels import DAY, LABEL_DELAY, NEVER
from tests.feature_definitions import Payment, literal_features

START = 1_522_540_800  # a Sunday, 2018-04-01
HORIZON = features.TERMINAL_HORIZON_DAYS * DAY


def kernel_features(payments: list[Payment]) -> dict[int, dict[str, float]]:
    """The kernel's features of all payments, by transaction id."""
    found: dict[int, dict[str, float]] = {p.transaction_id: {} for p in payments}
    for entity, values, kernel in (
        ("customer_id", ["cents"], features.customer_features),
        ("terminal_id", ["cents", "reported"], features.terminal_features),
    ):
        rows = sorted(payments, key=lambda p: (getattr(p, entity), *p.position))
        arrays = [np.array([getattr(p, name) for p in rows], dtype=np.int64) for name in (entity, "occurred", *values)]
        columns = kernel(*arrays, np.arange(len(rows)))
        for name, column in columns.items():
            for p, number in zip(rows, column, strict=True):
                found[p.transaction_id][name] = float(number)
    return found


# Seconds cluster around window edges, so that off-by-one-second cases always occur.
EDGES = [0, 1, DAY, 7 * DAY, 8 * DAY, 14 * DAY, 30 * DAY, 37 * DAY]
seconds = st.builds(lambda edge, off: START + edge + off, st.sampled_from(EDGES), st.integers(-1, 1))
delays = st.one_of(
    st.just(NEVER),
    st.sampled_from([0, DAY, LABEL_DELAY - 1, LABEL_DELAY, LABEL_DELAY + 1, 9 * DAY, 37 * DAY, 60 * DAY]),
)


@st.composite
def payment_lists(draw: st.DrawFn) -> list[Payment]:
    size = draw(st.integers(1, 25))
    ids = draw(
        st.lists(
            st.one_of(st.integers(0, 50), st.integers(2**63 - 9, 2**63 - 1)), min_size=size, max_size=size, unique=True
        )
    )
    payments = []
    for number in ids:
        occurred, delay = draw(seconds), draw(delays)
        payments.append(
            Payment(
                number,
                draw(st.sampled_from([0, 1, 2**63 - 1])),
                draw(st.sampled_from([0, 1, 2**63 - 1])),
                draw(st.integers(0, 100_000_000)),
                occurred,
                NEVER if delay == NEVER else occurred + delay,
            )
        )
    return payments


@given(payment_lists())
@settings(max_examples=300, deadline=None)
def test_kernel_equals_the_definitions(payments: list[Payment]) -> None:
    found = kernel_features(payments)
    for payment in payments:
        literal = literal_features(payments, payment)
        for name in CUSTOMER_FEATURES + TERMINAL_FEATURES:
            exact = literal[name]
            assert found[payment.transaction_id][name] == pytest.approx(float(exact), abs=1e-9, rel=1e-12), name


@given(payment_lists(), st.data())
@settings(max_examples=200, deadline=None)
def test_later_payments_and_labels_do_not_change_a_payment(payments: list[Payment], data: st.DataObject) -> None:
    payment = data.draw(st.sampled_from(payments))
    t = payment.occurred
    past = [
        p if max(p.occurred + LABEL_DELAY, p.reported) <= t else replace(p, reported=NEVER)
        for p in payments
        if p.position <= payment.position
    ]
    assert kernel_features(past)[payment.transaction_id] == kernel_features(payments)[payment.transaction_id]


@given(payment_lists(), st.data())
@settings(max_examples=200, deadline=None)
def test_nothing_before_the_horizon_changes_a_payment(payments: list[Payment], data: st.DataObject) -> None:
    payment = data.draw(st.sampled_from(payments))
    recent = [p for p in payments if p.occurred > payment.occurred - HORIZON]
    assert kernel_features(recent)[payment.transaction_id] == kernel_features(payments)[payment.transaction_id]


def test_a_late_report_counts_from_its_arrival() -> None:
    fraud = Payment(1, 1, 1, 100, START, reported=START + 10 * DAY)
    before = Payment(2, 2, 1, 100, START + 10 * DAY - 1)
    at_once = Payment(3, 2, 1, 100, START + 10 * DAY)
    found = kernel_features([fraud, before, at_once])
    assert found[2]["terminal_fraud_rate_7d"] == 0
    assert found[3]["terminal_fraud_rate_7d"] == 1
    assert found[3]["terminal_fraud_rate_1d"] == 0


def test_within_a_second_the_lower_id_comes_first() -> None:
    payments = [Payment(7, 1, 1, 100, START), Payment(6, 1, 2, 300, START)]
    found = kernel_features(payments)
    assert (found[6]["customer_tx_count_1d"], found[6]["customer_amount_mean_1d"]) == (1, 3)
    assert (found[7]["customer_tx_count_1d"], found[7]["customer_amount_mean_1d"]) == (2, 2)


@pytest.mark.parametrize(
    ("second", "weekend", "night"),
    [
        (START, 1, 1),
        (START - 1, 1, 0),  # Saturday, 23:59:59
        (START + DAY, 0, 1),  # Monday, midnight
        (START - DAY - 1, 0, 0),  # Friday, 23:59:59
        (START + 7 * 3600 - 1, 1, 1),  # 06:59:59
        (START + 7 * 3600, 1, 0),
    ],
)
def test_weekend_and_night(second: int, weekend: int, night: int) -> None:
    found = features.payment_features(np.array([second]), np.array([12_345]))
    assert [float(found[name][0]) for name in PAYMENT_FEATURES] == [123.45, weekend, night]


def test_an_unsorted_history_is_rejected() -> None:
    backwards = np.array([START + 1, START])
    with pytest.raises(ValueError, match="sorted"):
        features.customer_features(np.zeros(2, dtype=np.int64), backwards, np.ones(2, dtype=np.int64), np.arange(2))


def test_no_rows_give_no_features() -> None:
    none = np.empty(0, dtype=np.int64)
    for found, names in (
        (features.customer_features(none, none, none, none), CUSTOMER_FEATURES),
        (features.terminal_features(none, none, none, none, none), TERMINAL_FEATURES),
    ):
        assert tuple(found) == names
        assert all(column.shape == (0,) for column in found.values())


def test_the_base_features_come_first_and_all_are_in_order() -> None:
    assert len(BASE_FEATURES) == 15
    assert FEATURES[:15] == BASE_FEATURES
    assert len(set(FEATURES)) == len(FEATURES) == len(PAYMENT_FEATURES + CUSTOMER_FEATURES + TERMINAL_FEATURES)
    parts = {name: np.array([float(i)]) for i, name in enumerate(FEATURES)}
    shuffled = dict(sorted(parts.items()))
    assert features.feature_matrix(shuffled).tolist() == [[float(i) for i in range(len(FEATURES))]]


def test_every_feature_has_a_literal_definition() -> None:
    payment = Payment(1, 1, 1, 100, START)
    assert set(literal_features([payment], payment)) == set(FEATURES)


def test_a_habit_uses_only_the_latest_payments() -> None:
    old = [Payment(n, 1, 1, 10_000, START + n) for n in range(50)]
    new = [Payment(50 + n, 1, 1, 100, START + 1_000 + n) for n in range(HABIT_PAYMENTS + 1)]
    found = kernel_features(old + new)[new[-1].transaction_id]
    assert (found["customer_amount_median"], found["customer_max_to_median_7d"]) == (1, 1)


def test_a_run_of_frauds_grows_when_a_late_report_closes_its_gap() -> None:
    """Three payments; the middle one is reported late and splits the run until then."""
    reports = [START + LABEL_DELAY, START + 20 * DAY, START + LABEL_DELAY]
    past = [Payment(n, 1, 1, 100, START + n * 3600, reported) for n, reported in enumerate(reports)]
    before = Payment(8, 2, 1, 100, START + 20 * DAY - 1)
    after = Payment(9, 2, 1, 100, START + 20 * DAY)
    found = kernel_features([*past, before, after])
    assert [found[n]["terminal_fraud_run_length"] for n in (8, 9)] == [1, 3]
    assert found[8]["terminal_days_since_genuine"] == pytest.approx((20 * DAY - 1 - 3600) / DAY)
    assert found[9]["terminal_days_since_genuine"] == 37
