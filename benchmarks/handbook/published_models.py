"""The published models, on the 15 published features, standardised on and trained on the training week only.

A model is a function that trains on a week and returns a function from positions of payments to their scores.
scikit-learn and XGBoost are imported inside functions, because `__main__` must set OpenMP's wait policy first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.handbook.features import BASE_COLUMNS
from benchmarks.handbook.protocol import Prepared, Week

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Scorer = Callable[[Ints], Floats]
Model = Callable[[Prepared, Week], Scorer]

PUBLISHED_XGBOOST: Final[dict[str, Any]] = {"n_estimators": 50, "learning_rate": 0.3, "max_depth": 3}
DEFAULT_LOGISTIC_C: Final = 1.0


def logistic_regression(C: float) -> Any:
    """An unfitted logistic regression."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=C, max_iter=1_000, random_state=0)


def decision_tree(max_depth: int | None) -> Any:
    """An unfitted decision tree."""
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(max_depth=max_depth, random_state=0)


def random_forest(n_estimators: int = 100, max_depth: int | None = None) -> Any:
    """An unfitted random forest; trees have unlimited depth by default."""
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(n_estimators=n_estimators, max_depth=max_depth, random_state=0, n_jobs=-1)


def xgboost(**parameters: Any) -> Any:
    """An unfitted XGBoost with the defaults of the published version for the two parameters that changed since."""
    from xgboost import XGBClassifier

    return XGBClassifier(tree_method="exact", base_score=0.5, random_state=0, **parameters)


def published(make: Callable[..., Any], **parameters: Any) -> Model:
    """One of the estimators above as a model."""

    def train(data: Prepared, week: Week) -> Scorer:
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        model = make_pipeline(StandardScaler(), make(**parameters))
        model.fit(base_features(data, week.training), data.frauds[week.training])
        return lambda rows: np.asarray(model.predict_proba(base_features(data, rows))[:, 1], dtype=np.float64)

    return train


def base_features(data: Prepared, rows: Ints) -> Floats:
    """The published features of some payments, shape (len(rows), 15)."""
    found: Floats = data.features[np.ix_(rows, BASE_COLUMNS)]
    return found


BASE_WEEK: Final[dict[str, Model]] = {
    "logistic_regression": published(logistic_regression, C=DEFAULT_LOGISTIC_C),
    "decision_tree_depth_2": published(decision_tree, max_depth=2),
    "decision_tree_unlimited": published(decision_tree, max_depth=None),
    "random_forest": published(random_forest),
    "xgboost": published(xgboost),
}
