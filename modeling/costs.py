"""What decisions cost, and the thresholds that cost least."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.bundle import Thresholds

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Costs:
    """What mistakes and reviews cost, in the currency of the payments; a missed fraud costs its amount."""

    review: float
    wrong_decline: float


def total_cost(scores: Floats, frauds: Bools, amounts: Floats, thresholds: Thresholds, costs: Costs) -> float:
    """What the decisions by these thresholds cost; a reviewed fraud is caught. All arrays of shape (n,)."""
    declined = scores >= thresholds.decline
    reviewed = ~declined & (scores >= thresholds.review)
    approved = ~declined & ~reviewed
    missed = float(amounts[approved & frauds].sum())
    return missed + costs.review * int(reviewed.sum()) + costs.wrong_decline * int((declined & ~frauds).sum())


def cheapest_thresholds(scores: Floats, frauds: Bools, amounts: Floats, costs: Costs) -> Thresholds:
    """The pair of thresholds with the least total cost over these payments, all arrays of shape (n,).

    Ranked by score, the first k are declined and the first m >= k reviewed or declined; the cost falls apart into a
    part of k and a part of m, so one pass finds the best pair.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, bad, amount = scores[order], frauds[order], amounts[order]
    # Payments of one score are decided alike, so a cut lies only between two scores.
    cuts = np.concatenate(([0], np.flatnonzero(ranked[1:] < ranked[:-1]) + 1, [len(ranked)]))
    declining = costs.wrong_decline * _prefix(~bad)[cuts] - costs.review * cuts
    missing = _prefix(bad * amount)
    reviewing = costs.review * cuts + (missing[-1] - missing[cuts])
    best_so_far = np.minimum.accumulate(declining)
    last = int(np.argmin(reviewing + best_so_far))
    first = int(np.argmin(declining[: last + 1]))
    return Thresholds(review=_between(ranked, int(cuts[last])), decline=_between(ranked, int(cuts[first])))


def _prefix(values: NDArray[np.generic]) -> Floats:
    return np.concatenate(([0.0], np.cumsum(values, dtype=np.float64)))


def _between(ranked: Floats, cut: int) -> float:
    """A score that admits the first `cut` of the ranked and no other."""
    if cut == 0:
        return 1.0
    if cut == len(ranked):
        return 0.0
    return float((ranked[cut - 1] + ranked[cut]) / 2)
