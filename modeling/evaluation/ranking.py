"""Payments in the order of their scores, sorted once for all resamples: what the areas under the curves are made of.

scikit-learn's functions sort anew for each resample, which takes an order of magnitude longer over all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Areas:
    """As scikit-learn defines them, where payments may count several times; NaN where only one kind counts."""

    roc_auc: float
    average_precision: float


@dataclass(frozen=True)
class Ranking:
    """n payments by falling score: `order`, shape (n,), their positions, and `frauds` of them in that order.

    `ends`, shape (different scores,): the last place of each. Equal scores are admitted together.
    """

    order: NDArray[np.intp]
    frauds: NDArray[np.bool_]
    ends: NDArray[np.intp]

    @classmethod
    def of(cls, scores: NDArray[np.float64], frauds: NDArray[np.bool_]) -> Self:
        """Of scores and labels, both of shape (n,)."""
        order = np.argsort(-scores, kind="stable")
        return cls(order, frauds[order], np.flatnonzero(np.append(np.diff(scores[order]) != 0, True)))

    def areas(self, times: NDArray[np.int64]) -> Areas:
        """The areas where payment i counts `times[i]` times."""
        weights = times[self.order]
        admitted = np.cumsum(weights)[self.ends]
        right = np.cumsum(weights * self.frauds)[self.ends]
        frauds, genuine = int(right[-1]), int(admitted[-1] - right[-1])
        if not (frauds and genuine):
            return Areas(np.nan, np.nan)
        gained, wrong = np.diff(right, prepend=0), admitted - right
        precision = right / np.maximum(admitted, 1)
        between = (wrong + np.concatenate(([0], wrong[:-1]))) / 2
        return Areas(
            roc_auc=float((gained * (genuine - between)).sum()) / (frauds * genuine),
            average_precision=float((gained * precision).sum()) / frauds,
        )
