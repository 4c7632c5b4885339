"""Fit boosted trees on undersampled genuine payments, with bins that give frauds half of the weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modeling.data.sampling import sample_genuine
from modeling.models.binning import snap

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier


def fit_boosted_trees(
    features: NDArray[np.float64],
    frauds: NDArray[np.bool_],
    parameters: dict[str, Any],
    constraints: Sequence[int],
    fraud_weight: float = 1.0,
) -> HistGradientBoostingClassifier:
    """Fit boosted trees; `features` has shape (n, f), `frauds` (n,), `constraints` (f,).

    The model predicts on raw features, without binning. Raises `ModelingError` without frauds or genuine payments.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows, weights = sample_genuine(frauds)
    labels = frauds[rows]
    model = HistGradientBoostingClassifier(**parameters, monotonic_cst=list(constraints))
    return model.fit(snap(features[rows], labels), labels, sample_weight=np.where(labels, fraud_weight, weights))
