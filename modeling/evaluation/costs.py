"""The cost of decisions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.bundle import Thresholds

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Costs:
    """The costs of a review and a wrong decline, in the currency of the payments; a missed fraud costs its amount."""

    review: float
    wrong_decline: float


def each_cost(scores: Floats, frauds: Bools, amounts: Floats, thresholds: Thresholds, costs: Costs) -> Floats:
    """The cost of each decision by these thresholds; a reviewed fraud counts as caught. All arrays of shape (n,)."""
    declined = scores >= thresholds.decline
    reviewed = ~declined & (scores >= thresholds.review)
    refused = np.where(frauds, 0.0, costs.wrong_decline)
    return np.where(declined, refused, np.where(reviewed, costs.review, np.where(frauds, amounts, 0.0)))


def total_cost(scores: Floats, frauds: Bools, amounts: Floats, thresholds: Thresholds, costs: Costs) -> float:
    """The total cost of the decisions by these thresholds; arrays of shape (n,)."""
    return float(each_cost(scores, frauds, amounts, thresholds, costs).sum())


def cost_of_approving_all(frauds: Bools, amounts: Floats) -> float:
    """The total cost of approving every payment: the amount of all frauds."""
    return float(amounts[frauds].sum())
