"""The thresholds that cost least."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contracts.bundle import Thresholds
from modeling.costs import Bools, Costs, Floats


def cheapest_thresholds(scores: Floats, frauds: Bools, amounts: Floats, costs: Costs) -> Thresholds:
    """The pair of thresholds with the least total cost over these payments; scores 0 to 1, all arrays of shape (n,).

    Ranked by score, the first k are declined and the first m >= k reviewed or declined. The cost falls apart into a
    part of k and a part of m, so one pass over the m, with the best k so far, finds the best pair.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, bad, amount = scores[order], frauds[order], amounts[order]
    cuts = _cuts(ranked)
    declining = costs.wrong_decline * _prefix(~bad)[cuts] - costs.review * cuts
    missed = _prefix(bad * amount)
    reviewing = costs.review * cuts + (missed[-1] - missed[cuts])
    last = int(np.argmin(reviewing + np.minimum.accumulate(declining)))
    first = int(np.argmin(declining[: last + 1]))
    return Thresholds(review=_admitting(ranked, int(cuts[last])), decline=_admitting(ranked, int(cuts[first])))


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
