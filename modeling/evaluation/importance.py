"""Permutation importance of the features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from contracts.features import FEATURES
from modeling.data.dataset import Dataset

SAMPLE: Final = 12_000
REPEATS: Final = 3


@dataclass(frozen=True)
class Importance:
    """The decrease of average precision when a feature is shuffled: mean and standard deviation over `REPEATS`."""

    feature: str
    mean: float
    deviation: float


def importances(model: Any, data: Dataset, seed: int = 0) -> list[Importance]:
    """Each feature's permutation importance on at most `SAMPLE` payments, largest first.

    Empty if the sample lacks frauds or genuine payments, because average precision is then undefined.
    """
    from sklearn.inspection import permutation_importance

    size = min(SAMPLE, len(data.frauds))
    rows = np.sort(np.random.default_rng(seed).choice(len(data.frauds), size, replace=False))
    frauds = data.frauds[rows]
    if frauds.all() or not frauds.any():
        return []
    measured = permutation_importance(
        model, data.features[rows], frauds, scoring="average_precision", n_repeats=REPEATS, random_state=seed
    )
    means, deviations = measured.importances_mean.tolist(), measured.importances_std.tolist()
    found = [Importance(*figures) for figures in zip(FEATURES, means, deviations, strict=True)]
    return sorted(found, key=lambda one: -one.mean)
