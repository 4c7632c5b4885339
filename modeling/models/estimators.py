"""The two models: a logistic-regression baseline and the candidate, whose boosted trees the scorer can run.

scikit-learn is imported inside functions, because `modeling.runner` must set OpenMP's wait policy first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from contracts.bundle import Calibration
from contracts.features import FEATURES
from modeling.data.dataset import Dataset
from modeling.models.boosting import fit_boosted_trees
from modeling.models.monotonicity import monotonic_constraints

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline

MIN_SLOPE: Final = 0.01
CANDIDATE: Final[dict[str, Any]] = {
    "learning_rate": 0.05,
    "max_iter": 300,
    "max_leaf_nodes": 8,
    "min_samples_leaf": 20,
    "l2_regularization": 10.0,
    "max_features": 1.0,
    # Early stopping would hold out random payments, ignoring time.
    "early_stopping": False,
    "random_state": 0,
}
"""Chosen on validation weeks of the published payments (docs/decisions/0016-training-configuration.md)."""
BASELINE: Final[dict[str, Any]] = {"C": 1.0, "max_iter": 1_000}


def fit_candidate(data: Dataset, features: Sequence[str] = FEATURES) -> HistGradientBoostingClassifier:
    """Fit gradient-boosted trees on a window whose columns are `features`."""
    constraints = monotonic_constraints(data, features, CANDIDATE)
    return fit_boosted_trees(data.features, data.frauds, CANDIDATE, constraints)


def fit_baseline(data: Dataset) -> Pipeline:
    """Fit a logistic regression on standardised features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(**BASELINE)).fit(data.features, data.frauds)


def fit_calibration(margins: NDArray[np.float64], frauds: NDArray[np.bool_]) -> Calibration:
    """Fit Platt scaling on margins and labels, both of shape (n,).

    If higher margins do not mean more frauds, which can happen with very few frauds, a small positive slope keeps the
    model's order and all scores near the share of frauds.
    """
    from sklearn.linear_model import LogisticRegression

    platt = LogisticRegression(C=1e6).fit(margins.reshape(-1, 1), frauds)
    slope, intercept = float(platt.coef_[0, 0]), float(platt.intercept_[0])
    if slope >= MIN_SLOPE:
        return Calibration(slope=slope, intercept=intercept)
    share = float(np.mean(frauds))
    centred = float(np.log(share / (1 - share)) - MIN_SLOPE * np.mean(margins))
    return Calibration(slope=MIN_SLOPE, intercept=centred)


def typical_genuine(data: Dataset) -> NDArray[np.float64]:
    """The median of each feature over the genuine payments, shape (features,)."""
    typical: NDArray[np.float64] = np.median(data.features[~data.frauds], axis=0)
    return typical
