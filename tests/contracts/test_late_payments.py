"""The payments affected by a late one, compared with the kernel's results with and without it."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.features import customer_features, terminal_features
from contracts.labels import DAY, NEVER
from contracts.late_payments import days_depending_on, may_depend_on, touched_by_late

EDGES = [0, DAY, 7 * DAY, 8 * DAY, 30 * DAY, 37 * DAY]


@st.composite
def histories(draw: st.DrawFn) -> tuple[np.ndarray, ...]:
    size = draw(st.integers(1, 12))
    entity = st.lists(st.integers(0, 1), min_size=size, max_size=size)
    second = st.builds(lambda edge, off: 10**9 + edge + off, st.sampled_from(EDGES), st.integers(-1, 1))
    occurred = draw(st.lists(second, min_size=size, max_size=size))
    transaction_id = draw(st.permutations(range(size)))
    applied = draw(st.permutations(range(1, size + 1)))
    return tuple(np.array(a, dtype=np.int64) for a in (draw(entity), draw(entity), occurred, transaction_id, applied))


def counts_of_last(
    entity: np.ndarray, occurred: np.ndarray, number: np.ndarray, one: int, terminal: bool
) -> list[float]:
    order = np.lexsort((number, occurred, entity))
    at = np.flatnonzero(number[order] == number[one])
    history, cents = (entity[order], occurred[order]), np.full(len(order), 100, dtype=np.int64)
    if terminal:
        found = terminal_features(*history, cents, np.full_like(cents, NEVER), at)
    else:
        found = customer_features(*history, cents, at)
    return [float(column[0]) for column in found.values()]


@given(histories())
@settings(max_examples=300, deadline=None)
def test_affected_are_exactly_the_payments_whose_features_differ(history: tuple[np.ndarray, ...]) -> None:
    customer, terminal, occurred, number, applied = history
    touched = touched_by_late(*history)
    for one in range(len(number)):
        then = applied <= applied[one]
        alone = int(then[:one].sum())
        differs = any(
            counts_of_last(entity, occurred, number, one, is_terminal)
            != counts_of_last(entity[then], occurred[then], number[then], alone, is_terminal)
            for entity, is_terminal in ((customer, False), (terminal, True))
        )
        assert touched[one] == differs


def test_payments_in_order_affect_nothing() -> None:
    same = np.zeros(3, dtype=np.int64)
    assert not touched_by_late(same, same, np.array([1, 1, 2]), np.array([1, 2, 0]), np.array([1, 2, 3])).any()
    none = np.empty(0, dtype=np.int64)
    assert touched_by_late(none, none, none, none, none).shape == (0,)


@given(histories())
@settings(max_examples=200, deadline=None)
def test_a_payment_whose_features_differ_without_another_may_depend_on_it(history: tuple[np.ndarray, ...]) -> None:
    customer, terminal, occurred, number, _ = history
    for left_out in range(len(number)):
        without = np.arange(len(number)) != left_out
        may = may_depend_on(customer, terminal, occurred, (customer[left_out], terminal[left_out], occurred[left_out]))
        for one in np.flatnonzero(without & ~may):
            alone = int(without[:one].sum())
            for entity, is_terminal in ((customer, False), (terminal, True)):
                with_it = counts_of_last(entity, occurred, number, one, is_terminal)
                rest = (entity[without], occurred[without], number[without])
                assert with_it == counts_of_last(*rest, alone, is_terminal)


def test_a_changed_day_affects_those_within_the_horizon_after_it() -> None:
    first = date(2025, 1, 1)
    days = [first + timedelta(days=n) for n in range(120)]
    assert days_depending_on([days[10]], days) == days[10:48]
    assert days_depending_on([days[10], days[20], days[110]], days) == [*days[10:58], *days[110:]]
    assert days_depending_on([], days) == []
    assert days_depending_on([days[10]], [days[9], days[11], days[60]]) == [days[11]]
