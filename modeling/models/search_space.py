"""The search space: model family, hyperparameters, length of the history, weight of frauds.

The scorer runs only boosted trees; the other families are for comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from modeling.data.dataset import Dataset
from modeling.data.sampling import sample_genuine
from modeling.data.split import HISTORY_DAYS
from modeling.models.boosting import fit_boosted_trees
from modeling.models.estimators import BASELINE, CANDIDATE

if TYPE_CHECKING:
    from optuna import Trial

FAMILIES: Final = ("gradient_boosting", "random_forest", "logistic_regression")
HISTORIES: Final = (30, 60, 90)
HEAVIEST_FRAUD: Final = 20.0
CURRENT_CHOICES: Final[dict[str, Any]] = {
    "family": "gradient_boosting",
    "history_days": HISTORY_DAYS,
    "fraud_weight": 1.0,
    **{name: CANDIDATE[name] for name in ("learning_rate", "max_iter", "max_leaf_nodes", "min_samples_leaf")},
    **{name: CANDIDATE[name] for name in ("l2_regularization", "max_features")},
}
"""The choices of the current training configuration, which a search tries first."""


def suggest(trial: Trial) -> dict[str, Any]:
    """Suggest one set of choices."""
    family = trial.suggest_categorical("family", FAMILIES)
    shared = {
        "family": family,
        "history_days": trial.suggest_categorical("history_days", HISTORIES),
        "fraud_weight": trial.suggest_float("fraud_weight", 1.0, HEAVIEST_FRAUD, log=True),
    }
    if family == "gradient_boosting":
        return shared | {
            "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.2, log=True),
            "max_iter": trial.suggest_int("max_iter", 50, 400, log=True),
            "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 4, 31, log=True),
            "min_samples_leaf": trial.suggest_int("min_samples_leaf", 10, 500, log=True),
            "l2_regularization": trial.suggest_float("l2_regularization", 0.1, 100.0, log=True),
            "max_features": trial.suggest_float("max_features", 0.2, 1.0),
        }
    if family == "random_forest":
        return shared | {
            "n_estimators": trial.suggest_int("n_estimators", 20, 60),
            "max_depth": trial.suggest_int("max_depth", 6, 16),
            "leaf": trial.suggest_int("leaf", 1, 100, log=True),
        }
    return shared | {"C": trial.suggest_float("C", 0.01, 100.0, log=True)}


def fit(chosen: dict[str, Any], data: Dataset, constraints: Sequence[int]) -> Any:
    """Fit a model with these choices; it has `predict_proba`. `constraints` apply to boosted trees only."""
    if chosen["family"] == "gradient_boosting":
        parameters = CANDIDATE | {name: chosen[name] for name in CANDIDATE if name in chosen}
        return fit_boosted_trees(data.features, data.frauds, parameters, constraints, chosen["fraud_weight"])
    rows, weights = sample_genuine(data.frauds)
    weights = np.where(data.frauds[rows], chosen["fraud_weight"], weights)
    model = _estimator(chosen)
    named = {f"{model.steps[-1][0]}__sample_weight": weights} if hasattr(model, "steps") else {"sample_weight": weights}
    return model.fit(data.features[rows], data.frauds[rows], **named)


def _estimator(chosen: dict[str, Any]) -> Any:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if chosen["family"] == "random_forest":
        return RandomForestClassifier(
            n_estimators=chosen["n_estimators"],
            max_depth=chosen["max_depth"],
            min_samples_leaf=chosen["leaf"],
            # A quarter of the payments for each tree; with all of them a fold would take minutes.
            max_samples=0.25,
            random_state=0,
            n_jobs=-1,
        )
    logistic = LogisticRegression(**BASELINE | {"C": chosen["C"]})
    return make_pipeline(StandardScaler(), logistic)
