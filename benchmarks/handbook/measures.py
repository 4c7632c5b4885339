"""Metrics of scores on test weeks, with mean and standard deviation over the weeks."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from modeling.data.dataset import Dataset
from modeling.evaluation.metrics import TOP_CARDS, card_precision

Floats = NDArray[np.float64]

MEASURES: Final = ("auc", "ap", "cp100")


def figures(scores: Floats, data: Dataset) -> dict[str, float]:
    """`MEASURES` of one week: AUC ROC, average precision, card precision at 100."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    return {
        "auc": float(roc_auc_score(data.frauds, scores)),
        "ap": float(average_precision_score(data.frauds, scores)),
        "cp100": card_precision(scores, data, TOP_CARDS),
    }


def summary(weeks: list[dict[str, float]]) -> dict[str, float]:
    """The mean of each measure over the weeks and, for more than one week, its standard deviation (ddof 0)."""
    means = {name: float(np.mean([week[name] for week in weeks])) for name in MEASURES}
    spreads = {f"{name}_std": float(np.std([week[name] for week in weeks])) for name in MEASURES}
    return means | (spreads if len(weeks) > 1 else {})
