"""The candidate's trees in the form that the scorer runs, proven to answer as scikit-learn does.

treelite is imported where it is used: `modeling.runner` must have set its threads' manners before.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from contracts.bundle import TREES, BundleError, Calibration, probability
from modeling.errors import ModelingError

if TYPE_CHECKING:
    import treelite

TOLERANCE: Final = 1e-9
LOGISTIC: Final = Calibration(slope=1.0, intercept=0.0)


def write_trees(model: Any, root: Path, features: NDArray[np.float64]) -> None:
    """Write the trees below `root`, and read them back to see that they answer alike on `features`, shape (n, f).

    Raises `ModelingError` where they differ from the model's `predict_proba`.
    """
    import treelite

    (root / TREES).parent.mkdir(parents=True, exist_ok=True)
    treelite.sklearn.import_model(model).serialize(str(root / TREES))
    answers = probability(margins(read_trees(root), features), LOGISTIC)
    difference = float(np.abs(answers - model.predict_proba(features)[:, 1]).max())
    if not difference <= TOLERANCE:
        raise ModelingError(
            f"the converted trees differ from scikit-learn's by {difference:.2e}, more than {TOLERANCE:.0e}: "
            "the scorer would not decide as the model does, so nothing was registered"
        )


def read_trees(root: Path) -> treelite.Model:
    """The trees below `root`; only after `contracts.bundle.verify`, for a damaged file may load silently.

    Raises `BundleError` for what treelite can tell.
    """
    import treelite

    try:
        return treelite.Model.deserialize(str(root / TREES))
    except treelite.TreeliteError as error:
        raise BundleError(f"{TREES} cannot be loaded: {error}") from error


def margins(trees: treelite.Model, features: NDArray[np.float64]) -> NDArray[np.float64]:
    """The raw log-odds of some payments, shape (n,)."""
    import treelite

    found: NDArray[np.float64] = treelite.gtil.predict(trees, features, pred_margin=True).reshape(-1)
    return found
