"""Choose the thresholds with the lowest cost within the review budget."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.bundle import Thresholds
from modeling.evaluation.costs import Bools, Costs, Floats

EVERY_PAYMENT: Final = 1_000.0
"""A review budget without effect."""


def cheapest_thresholds(
    scores: Floats, frauds: Bools, amounts: Floats, costs: Costs, reviews_per_1000: float = EVERY_PAYMENT
) -> Thresholds:
    """The pair of thresholds with the lowest total cost on these payments; scores 0 to 1, all arrays of shape (n,).

    With payments ranked by score, the first k are declined and the first m >= k reviewed or declined, where m - k must
    not exceed the budget for n payments. The cost is the sum of a function of k and a function of m, so for each m the
    best k is the minimum over a window of ranks that ends at m.
    """
    allowed = allowed_reviews(len(scores), reviews_per_1000)
    order = np.argsort(-scores, kind="stable")
    ranked, bad, amount = scores[order], frauds[order], amounts[order]
    cuts = _cuts(ranked)
    declining = costs.wrong_decline * _prefix(~bad)[cuts] - costs.review * cuts
    missed = _prefix(bad * amount)
    reviewing = costs.review * cuts + (missed[-1] - missed[cuts])
    last = int(np.argmin(reviewing + _least_before(cuts, declining, allowed)))
    nearest = int(np.searchsorted(cuts, cuts[last] - allowed))
    first = nearest + int(np.argmin(declining[nearest : last + 1]))
    return Thresholds(review=_threshold_at(ranked, int(cuts[last])), decline=_threshold_at(ranked, int(cuts[first])))


def allowed_reviews(payments: int, reviews_per_1000: float) -> int:
    """The number of reviews that the budget allows for `payments` payments, rounded down."""
    # In this order the result is exact for a budget of 1,000.
    return int(reviews_per_1000 * payments / 1_000)


def _least_before(cuts: NDArray[np.int64], declining: Floats, allowed: int) -> Floats:
    """For each cut, the minimum of `declining` over the cuts from `allowed` payments before it up to itself."""
    from scipy.ndimage import minimum_filter1d

    payments = int(cuts[-1])
    by_rank = np.full(payments + 1, np.inf)
    by_rank[cuts] = declining
    size = min(allowed, payments) + 1
    # `origin` shifts the filter's window so that it ends at its position instead of being centred there.
    least: Floats = minimum_filter1d(by_rank, size, mode="constant", cval=np.inf, origin=(size - 1) // 2)
    return least[cuts]


def _cuts(ranked: Floats) -> NDArray[np.int64]:
    """The numbers of payments that a threshold of 0 to 1 can select: equal scores together, scores of 1 always."""
    between = np.flatnonzero(ranked[1:] < ranked[:-1]) + 1
    none = [0] if ranked[0] < 1 else []
    return np.concatenate((none, between, [len(ranked)])).astype(np.int64)


def _prefix(values: NDArray[np.generic]) -> Floats:
    return np.concatenate(([0.0], np.cumsum(values, dtype=np.float64)))


def _threshold_at(ranked: Floats, cut: int) -> float:
    """A threshold that selects exactly the first `cut` of the ranked scores."""
    if cut == 0:
        return 1.0
    if cut == len(ranked):
        return 0.0
    middle = float((ranked[cut - 1] + ranked[cut]) / 2)
    # Adjacent floats have no float between them.
    return middle if middle > ranked[cut] else float(ranked[cut - 1])
