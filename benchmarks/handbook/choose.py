"""Choose the published models' parameters by average precision on the validation weeks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from benchmarks.handbook.protocol import Prepared, Week
from benchmarks.handbook.published_models import (
    PUBLISHED_XGBOOST,
    Model,
    decision_tree,
    logistic_regression,
    published,
    random_forest,
    xgboost,
)

Parameters = dict[str, Any]
ESTIMATORS: Final[dict[str, Callable[..., Any]]] = {
    "decision_tree": decision_tree,
    "logistic_regression": logistic_regression,
    "random_forest": random_forest,
    "xgboost": xgboost,
}
GRIDS: Final[dict[str, list[Parameters]]] = {
    "decision_tree": [{"max_depth": depth} for depth in (*range(2, 11), None)],
    "logistic_regression": [{"C": c} for c in (0.1, 1.0, 10.0, 100.0)],
    # Few trees are enough here, because the best depth does not depend on their number.
    "random_forest": [{"n_estimators": 25, "max_depth": depth} for depth in (5, 10, 20, None)],
}
FINAL: Final[dict[str, Parameters]] = {"random_forest": {"n_estimators": 100}}
"""Parameters that replace those of the search in the final models."""
FIXED: Final[dict[str, Parameters]] = {
    "decision_tree": {"max_depth": 5},
    "logistic_regression": {"C": 1.0},
    "random_forest": {"n_estimators": 100, "max_depth": 10},
    "xgboost": PUBLISHED_XGBOOST,
}
"""The parameters without validation weeks; XGBoost's are the published ones and are never searched."""


def searched(weeks: int) -> int:
    """The number of models that `choose` trains for this number of validation weeks."""
    return weeks * sum(map(len, GRIDS.values()))


def choose(data: Prepared, validation: list[Week], done: Callable[[int], None]) -> dict[str, Parameters]:
    """The parameters of each of `ESTIMATORS`: the first best of its grid, or `FIXED` without validation weeks."""
    chosen = dict(FIXED)
    if validation:
        for name, grid in GRIDS.items():
            found = [_validated(published(ESTIMATORS[name], **some), data, validation, done) for some in grid]
            chosen[name] = grid[int(np.argmax(found))] | FINAL.get(name, {})
    return chosen


def four_week_models(chosen: dict[str, Parameters]) -> dict[str, Model]:
    """The published models with these parameters."""
    return {name: published(ESTIMATORS[name], **parameters) for name, parameters in chosen.items()}


def _validated(model: Model, data: Prepared, validation: list[Week], done: Callable[[int], None]) -> float:
    """The mean average precision over the validation weeks, which are trained in parallel."""
    from joblib import Parallel, delayed

    def one(week: Week) -> float:
        from sklearn.metrics import average_precision_score

        return float(average_precision_score(data.frauds[week.test], model(data, week)(week.test)))

    precisions = Parallel(n_jobs=-1, prefer="threads")(delayed(one)(week) for week in validation)
    done(len(validation))
    return float(np.mean(precisions))
