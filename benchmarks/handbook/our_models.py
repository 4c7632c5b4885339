"""The champion's model and two variants that separate the effects of history, features and trees."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from benchmarks.handbook.features import BASE_COLUMNS
from benchmarks.handbook.protocol import Prepared, Week
from benchmarks.handbook.published_models import Floats, Ints, Model, Scorer
from contracts.features import FEATURES
from modeling.models.estimators import fit_candidate

XGBOOST: Final[dict[str, Any]] = {
    "n_estimators": 300,
    "learning_rate": 0.05,
    "max_depth": 5,
    "min_child_weight": 10,
    "subsample": 0.8,
    "colsample_bytree": 0.5,
    "tree_method": "hist",
    # Frauds are in the tails, where 256 bins are too few.
    "max_bin": 1024,
    "random_state": 0,
}


def champion(data: Prepared, week: Week) -> Scorer:
    """The model that `modeling.train` fits, on the history up to the end of the training week."""
    model = fit_candidate(data.dataset(week.history))
    return lambda rows: np.asarray(model.decision_function(data.features[rows]), dtype=np.float64)


def xgboost_on(columns: Ints) -> Model:
    """XGBoost on the champion's history and the features at `columns` of `FEATURES`."""

    def train(data: Prepared, week: Week) -> Scorer:
        from xgboost import XGBClassifier

        def inputs(rows: Ints) -> Floats:
            return data.features[np.ix_(rows, columns)]

        model = XGBClassifier(**XGBOOST).fit(inputs(week.history), data.frauds[week.history])
        return lambda rows: model.predict_proba(inputs(rows))[:, 1].astype(np.float64)

    return train


CHAMPION: Final = "champion"
OURS: Final[dict[str, Model]] = {
    CHAMPION: champion,
    "xgboost_all_features": xgboost_on(np.arange(len(FEATURES))),
    "xgboost_base_features_90_days": xgboost_on(BASE_COLUMNS),
}
