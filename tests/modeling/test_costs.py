"""The cheapest thresholds, compared with an exhaustive search."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.bundle import Thresholds
from modeling.evaluation.costs import Costs, cost_of_approving_all, total_cost
from modeling.evaluation.thresholds import cheapest_thresholds

NEXT = float(np.nextafter(0.5, 1))
"""Two neighbouring floats have nothing between them."""

payments = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, NEXT, 0.9, 1.0]), st.booleans(), st.integers(0, 300)),
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
    candidates = [0.0, 0.05, 0.2, 0.4, NEXT, 0.7, 0.95, 1.0]
    best = min(
        total_cost(scores, frauds, amounts, Thresholds(review=low, decline=high), costs)
        for low, high in itertools.combinations_with_replacement(candidates, 2)
    )
    assert total_cost(scores, frauds, amounts, chosen, costs) <= best + 1e-9


@given(payments, st.integers(0, 40), st.integers(0, 40), st.sampled_from([0, 50, 100, 250, 333.4, 500, 1_000]))
@settings(max_examples=400, deadline=None)
def test_no_other_pair_within_the_review_budget_costs_less(
    world: list[tuple[float, bool, int]], review: int, decline: int, budget: float
) -> None:
    scores, frauds, amounts = (np.array(column) for column in zip(*world, strict=True))
    costs = Costs(review=float(review), wrong_decline=float(decline))
    chosen = cheapest_thresholds(scores, frauds, amounts.astype(float), costs, budget)
    levels = [0.0, 0.05, 0.2, 0.4, NEXT, 0.7, 0.95, 1.0]
    pairs = [Thresholds(review=low, decline=high) for low, high in itertools.combinations_with_replacement(levels, 2)]
    within = [pair for pair in pairs if 1_000 * reviews(scores, pair) <= budget * len(scores)]
    assert 1_000 * reviews(scores, chosen) <= budget * len(scores)
    best = min(total_cost(scores, frauds, amounts, pair, costs) for pair in within)
    assert total_cost(scores, frauds, amounts, chosen, costs) <= best + 1e-9


def reviews(scores: np.ndarray, pair: Thresholds) -> int:
    return int(((scores >= pair.review) & (scores < pair.decline)).sum())


def test_a_budget_that_divides_the_payments_is_used_to_its_last_review() -> None:
    scores = np.linspace(0.9, 0.1, 1_000)
    frauds, amounts = np.ones(1_000, dtype=bool), np.full(1_000, 100.0)
    costs = Costs(review=1.0, wrong_decline=10_000.0)
    frauds[:500] = False
    assert reviews(scores, cheapest_thresholds(scores, frauds, amounts, costs, 600.0)) == 600
    assert reviews(scores, cheapest_thresholds(scores, frauds, amounts, costs, 0.0)) == 0


def test_what_each_decision_costs() -> None:
    scores, frauds = np.array([0.1, 0.1, 0.5, 0.9, 0.9]), np.array([True, False, True, False, True])
    amounts = np.array([70.0, 10.0, 50.0, 20.0, 90.0])
    cost = total_cost(
        scores, frauds, amounts, Thresholds(review=0.4, decline=0.8), Costs(review=5.0, wrong_decline=25.0)
    )
    assert cost == pytest.approx(70 + 5 + 25)


def test_a_review_that_costs_more_than_it_saves_is_never_chosen() -> None:
    scores, frauds, amounts = np.array([0.2, 0.6, 0.9]), np.array([False, True, True]), np.full(3, 50.0)
    chosen = cheapest_thresholds(scores, frauds, amounts, Costs(review=1_000.0, wrong_decline=1.0))
    assert chosen.review == chosen.decline
    assert 0.2 < chosen.decline <= 0.6


def test_everything_is_approved_if_flagging_never_pays() -> None:
    scores, frauds, amounts = np.array([0.2, 0.6, 0.9]), np.array([False, False, True]), np.full(3, 1.0)
    costs = Costs(review=1_000.0, wrong_decline=1_000.0)
    chosen = cheapest_thresholds(scores, frauds, amounts, costs)
    assert total_cost(scores, frauds, amounts, chosen, costs) == 0
    dear = cheapest_thresholds(scores, ~frauds, amounts, costs)
    assert total_cost(scores, ~frauds, amounts, dear, costs) == cost_of_approving_all(~frauds, amounts) == 2
