"""How good scores are on test weeks: figures of each week, their mean and spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modeling.dataset import Dataset
from modeling.metrics import TOP_CARDS, card_precision

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MEASURES: Final = ("auc", "ap", "cp100")


def figures(scores: Floats, data: Dataset) -> dict[str, float]:
    """`MEASURES` of one week: area under ROC, average precision, card precision at 100."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    return {
        "auc": float(roc_auc_score(data.frauds, scores)),
        "ap": float(average_precision_score(data.frauds, scores)),
        "cp100": card_precision(scores, data, TOP_CARDS),
    }


def summary(weeks: list[dict[str, float]]) -> dict[str, float]:
    """The mean of each measure over the weeks and, of more than one, its standard deviation (ddof 0)."""
    means = {name: float(np.mean([week[name] for week in weeks])) for name in MEASURES}
    spreads = {f"{name}_std": float(np.std([week[name] for week in weeks])) for name in MEASURES}
    return means | (spreads if len(weeks) > 1 else {})


@dataclass(frozen=True)
class Ranking:
    """The payments of a week in the order of their scores, sorted once for all resamples."""

    order: Ints
    last_of_tie: NDArray[np.bool_]
    """Whether the next payment has a lower score."""
    frauds: NDArray[np.bool_]
    """In order."""

    def measures(self, times: Ints) -> dict[str, float]:
        """`auc` and `ap` where payment i was drawn `times[i]` times; NaN where one kind was not drawn.

        As scikit-learn defines them, which sorts anew each time: an order of magnitude slower over all resamples.
        """
        drawn = times[self.order]
        found = np.cumsum(drawn * self.frauds)[self.last_of_tie]
        missed = np.cumsum(drawn * ~self.frauds)[self.last_of_tie]
        if not (found[-1] and missed[-1]):
            return {"auc": np.nan, "ap": np.nan}
        more_found = np.diff(found, prepend=0)
        precision = found / np.maximum(found + missed, 1)
        behind = missed[-1] - (missed + np.concatenate(([0], missed[:-1]))) / 2
        return {
            "auc": float(np.sum(more_found * behind) / (found[-1] * missed[-1])),
            "ap": float(np.sum(more_found * precision) / found[-1]),
        }


def ranking(scores: Floats, frauds: NDArray[np.bool_]) -> Ranking:
    """The payments by falling score, both of shape (n,)."""
    order = np.argsort(-scores, kind="stable")
    return Ranking(order, np.append(np.diff(scores[order]) != 0, True), frauds[order])
