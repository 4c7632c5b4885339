"""The payments affected by a late one, compared with the kernel's results with and without it."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.features import customer_features, terminal_features
from contracts.labels import DAY, NEVER
from contracts.late_payments import touched_by_late

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
