"""The two models: the baseline, and the candidate whose trees the scorer can run."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from contracts.bundle import Calibration
from modeling.dataset import Dataset
from modeling.errors import ModelingError

CANDIDATE: Final[dict[str, Any]] = {
    "learning_rate": 0.06,
    "max_iter": 150,
    "max_leaf_nodes": 16,
    "min_samples_leaf": 40,
    "l2_regularization": 1.0,
    # Early stopping would hold out payments at random, across time.
    "early_stopping": False,
    "random_state": 0,
}
BASELINE: Final[dict[str, Any]] = {"C": 1.0, "max_iter": 1_000}


def fit_candidate(data: Dataset) -> HistGradientBoostingClassifier:
    """Gradient-boosted trees on one window."""
    return HistGradientBoostingClassifier(**CANDIDATE).fit(data.features, data.frauds)


def fit_baseline(data: Dataset) -> Pipeline:
    """Logistic regression on standardised features."""
    return make_pipeline(StandardScaler(), LogisticRegression(**BASELINE)).fit(data.features, data.frauds)


def fit_calibration(margins: NDArray[np.float64], frauds: NDArray[np.bool_]) -> Calibration:
    """The Platt pair that makes probabilities of raw margins, both of shape (n,).

    Raises `ModelingError` where higher margins do not mean more frauds: such a model knows nothing.
    """
    platt = LogisticRegression(C=1e6).fit(margins.reshape(-1, 1), frauds)
    slope, intercept = float(platt.coef_[0, 0]), float(platt.intercept_[0])
    if slope <= 0:
        raise ModelingError(
            "on the validation window higher scores do not mean more frauds: take more days or customers"
        )
    return Calibration(slope=slope, intercept=intercept)


def typical_genuine(data: Dataset) -> NDArray[np.float64]:
    """The median of each feature over the genuine payments, shape (features,)."""
    return np.median(data.features[~data.frauds], axis=0)
