"""The two models: the baseline, and the candidate whose trees the scorer can run.

scikit-learn is imported where it is used: `modeling.runner` must have set its threads' manners before.
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

LEAST_SLOPE: Final = 0.01
CANDIDATE: Final[dict[str, Any]] = {
    "learning_rate": 0.05,
    "max_iter": 300,
    "max_leaf_nodes": 8,
    "min_samples_leaf": 20,
    "l2_regularization": 10.0,
    "max_features": 1.0,
    # Early stopping would hold out payments at random, across time.
    "early_stopping": False,
    "random_state": 0,
}
"""Chosen on validation weeks of the published payments (docs/decisions/0016-recipe.md)."""
BASELINE: Final[dict[str, Any]] = {"C": 1.0, "max_iter": 1_000}


def fit_candidate(data: Dataset, features: Sequence[str] = FEATURES) -> HistGradientBoostingClassifier:
    """Gradient-boosted trees on one window whose columns are these features."""
    constraints = monotonic_constraints(data, features, CANDIDATE)
    return fit_boosted_trees(data.features, data.frauds, CANDIDATE, constraints)


def fit_baseline(data: Dataset) -> Pipeline:
    """Logistic regression on standardised features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(**BASELINE)).fit(data.features, data.frauds)


def fit_calibration(margins: NDArray[np.float64], frauds: NDArray[np.bool_]) -> Calibration:
    """The Platt pair that makes probabilities of raw margins, both of shape (n,).

    Where higher margins do not mean more frauds (a handful of frauds says little), the scores stay near the share of
    frauds, in the model's order: it says hardly anything then, and what it says is never turned around.
    """
    from sklearn.linear_model import LogisticRegression

    platt = LogisticRegression(C=1e6).fit(margins.reshape(-1, 1), frauds)
    slope, intercept = float(platt.coef_[0, 0]), float(platt.intercept_[0])
    if slope >= LEAST_SLOPE:
        return Calibration(slope=slope, intercept=intercept)
    share = float(np.mean(frauds))
    centred = float(np.log(share / (1 - share)) - LEAST_SLOPE * np.mean(margins))
    return Calibration(slope=LEAST_SLOPE, intercept=centred)


def typical_genuine(data: Dataset) -> NDArray[np.float64]:
    """The median of each feature over the genuine payments, shape (features,)."""
    typical: NDArray[np.float64] = np.median(data.features[~data.frauds], axis=0)
    return typical
