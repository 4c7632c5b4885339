"""Permutation importance of the features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from contracts.features import FEATURES
from modeling.data.dataset import Dataset
from modeling.threads import cores, one_openmp_thread, threads

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
    with threads():
        measured = permutation_importance(
            model,
            data.features[rows],
            frauds,
            scoring=_average_precision,
            n_repeats=REPEATS,
            random_state=seed,
            n_jobs=cores(),
        )
    means, deviations = measured.importances_mean.tolist(), measured.importances_std.tolist()
    found = [Importance(*figures) for figures in zip(FEATURES, means, deviations, strict=True)]
    return sorted(found, key=lambda one: -one.mean)


def _average_precision(model: Any, features: NDArray[np.float64], frauds: NDArray[np.bool_]) -> float:
    from sklearn.metrics import average_precision_score

    with one_openmp_thread():
        margins = model.decision_function(features)
    return float(average_precision_score(frauds, margins))
