"""The cheapest thresholds, against trying them all."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.bundle import Thresholds
from modeling.costs import Costs, cheapest_thresholds, total_cost

payments = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9]), st.booleans(), st.integers(0, 300)),
    min_size=1,
    max_size=12,
)


@given(payments, st.integers(0, 40), st.integers(0, 40))
@settings(max_examples=300, deadline=None)
def test_no_other_pair_of_thresholds_costs_less(
    world: list[tuple[float, bool, int]], review: int, decline: int
) -> None:
    scores, frauds, amounts = (np.array(column) for column in zip(*world, strict=True))
    costs = Costs(review=float(review), wrong_decline=float(decline))
    chosen = cheapest_thresholds(scores, frauds, amounts.astype(float), costs)
    candidates = [0.0, 0.05, 0.2, 0.4, 0.7, 0.95, 1.0]
    best = min(
        total_cost(scores, frauds, amounts, Thresholds(review=low, decline=high), costs)
        for low, high in itertools.combinations_with_replacement(candidates, 2)
    )
    assert total_cost(scores, frauds, amounts, chosen, costs) <= best + 1e-9


def test_what_each_decision_costs() -> None:
    scores, frauds = np.array([0.1, 0.1, 0.5, 0.9, 0.9]), np.array([True, False, True, False, True])
    amounts = np.array([70.0, 10.0, 50.0, 20.0, 90.0])
    cost = total_cost(
        scores, frauds, amounts, Thresholds(review=0.4, decline=0.8), Costs(review=5.0, wrong_decline=25.0)
    )
    assert cost == pytest.approx(70 + 5 + 25)
