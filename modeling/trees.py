"""The candidate's trees in the form that the scorer runs, proven to answer as scikit-learn does."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import treelite
from numpy.typing import NDArray

from contracts.bundle import TREES, Calibration, probability
from modeling.errors import ModelingError

TOLERANCE: Final = 1e-9


def write_trees(model: Any, root: Path, features: NDArray[np.float64]) -> None:
    """Write the trees below `root`. Raises `ModelingError` where they answer otherwise on `features`, shape (n, f)."""
    trees = treelite.sklearn.import_model(model)
    difference = np.abs(_logistic(margins(trees, features)) - model.predict_proba(features)[:, 1]).max()
    if not difference <= TOLERANCE:
        raise ModelingError(f"the converted trees differ from scikit-learn's by {difference:.2e}: not for production")
    trees.serialize(str(root / TREES))


def read_trees(root: Path) -> treelite.Model:
    """The trees below `root`; only after `contracts.bundle.verify`, for a damaged file loads silently."""
    return treelite.Model.deserialize(str(root / TREES))


def margins(trees: treelite.Model, features: NDArray[np.float64]) -> NDArray[np.float64]:
    """The raw log-odds of some payments, shape (n,)."""
    found: NDArray[np.float64] = treelite.gtil.predict(trees, features, pred_margin=True).reshape(-1)
    return found


def _logistic(margin: NDArray[np.float64]) -> NDArray[np.float64]:
    return probability(margin, Calibration(slope=1.0, intercept=0.0))
