"""The thresholds that cost least, with no more reviews than there are people for."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.bundle import Thresholds
from modeling.evaluation.costs import Bools, Costs, Floats

EVERY_PAYMENT: Final = 1_000.0
"""A budget that binds nobody."""


def cheapest_thresholds(
    scores: Floats, frauds: Bools, amounts: Floats, costs: Costs, reviews_per_1000: float = EVERY_PAYMENT
) -> Thresholds:
    """The pair of thresholds with the least total cost over these payments; scores 0 to 1, all arrays of shape (n,).

    Ranked by score, the first k are declined and the first m >= k reviewed or declined; m - k may be no more than the
    budget's part of these n payments, so its mean over their days is kept. The cost falls apart into a part of k and a
    part of m: for each m, the best k is the least of a window of the ranks that ends at m.
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
    return Thresholds(review=_admitting(ranked, int(cuts[last])), decline=_admitting(ranked, int(cuts[first])))


def allowed_reviews(payments: int, reviews_per_1000: float) -> int:
    """How many of so many payments the budget lets be reviewed; what is left of a review is none."""
    # In this order a whole budget stays whole: 1,000 * n / 1,000.
    return int(reviews_per_1000 * payments / 1_000)


def _least_before(cuts: NDArray[np.int64], declining: Floats, allowed: int) -> Floats:
    """For each cut, the least of `declining` over the cuts from `allowed` payments before it to itself."""
    from scipy.ndimage import minimum_filter1d

    payments = int(cuts[-1])
    by_rank = np.full(payments + 1, np.inf)
    by_rank[cuts] = declining
    size = min(allowed, payments) + 1
    # Moved by `origin`, the filter's window ends at its place instead of being centred there.
    least: Floats = minimum_filter1d(by_rank, size, mode="constant", cval=np.inf, origin=(size - 1) // 2)
    return least[cuts]


def _cuts(ranked: Floats) -> NDArray[np.int64]:
    """How many payments a threshold from 0 to 1 can admit: equal scores only together, those of score 1 always."""
    between = np.flatnonzero(ranked[1:] < ranked[:-1]) + 1
    none = [0] if ranked[0] < 1 else []
    return np.concatenate((none, between, [len(ranked)])).astype(np.int64)


def _prefix(values: NDArray[np.generic]) -> Floats:
    return np.concatenate(([0.0], np.cumsum(values, dtype=np.float64)))


def _admitting(ranked: Floats, cut: int) -> float:
    """A threshold that admits the first `cut` of the ranked and no other."""
    if cut == 0:
        return 1.0
    if cut == len(ranked):
        return 0.0
    middle = float((ranked[cut - 1] + ranked[cut]) / 2)
    # Between two neighbouring floats there is no middle.
    return middle if middle > ranked[cut] else float(ranked[cut - 1])
