"""Choose the review and decline thresholds with the lowest cost, within a review budget."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.bundle import Thresholds
from modeling.evaluation.costs import Costs, total_cost


@dataclass(frozen=True)
class Window:
    """Payments of some days, each array of shape (n,): scores from 0 to 1, labels, and amounts in currency units."""

    scores: NDArray[np.float64]
    frauds: NDArray[np.bool_]
    amounts: NDArray[np.float64]


def cost_of(window: Window, thresholds: Thresholds, costs: Costs) -> float:
    """The total cost of the decisions by these thresholds, in currency units."""
    return total_cost(window.scores, window.frauds, window.amounts, thresholds, costs)


def choose(validation: Window, test: Window, costs: Costs, reviews_per_1000: float) -> tuple[Thresholds, float]:
    """The cheapest thresholds on the validation window, and their cost on the test window.

    On the validation window at most `reviews_per_1000` of 1,000 payments may be reviewed. The cost is per 1,000 test
    payments, in currency units. No score is 1, so a threshold of 1 flags no payment.
    """
    # --- your work: begin
    candidates = [*np.unique(validation.scores).tolist(), 1.0]
    allowed = reviews_per_1000 * len(validation.scores) / 1_000
    cheapest, chosen = np.inf, Thresholds(review=1, decline=1)
    for review in candidates:
        flagged = validation.scores >= review
        for decline in candidates:
            if decline < review or (flagged & (validation.scores < decline)).sum() > allowed:
                continue
            thresholds = Thresholds(review=review, decline=decline)
            cost = cost_of(validation, thresholds, costs)
            if cost < cheapest:
                cheapest, chosen = cost, thresholds
    return chosen, 1_000 * cost_of(test, chosen, costs) / len(test.scores)
    # --- your work: end
