"""Export the candidate's trees to treelite, checked to predict the same as scikit-learn.

treelite is imported inside functions, because `modeling.runner` must set OpenMP's wait policy first.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from contracts.bundle import REBUILD, TREES, BundleError, Calibration, probability
from modeling.errors import ModelingError

if TYPE_CHECKING:
    import treelite

TOLERANCE: Final = 1e-9
LOGISTIC: Final = Calibration(slope=1.0, intercept=0.0)


def write_trees(model: Any, root: Path, features: NDArray[np.float64]) -> None:
    """Write the trees under `root`, read them back and compare predictions on `features`, shape (n, f).

    Raises `ModelingError` if they differ from the model's `predict_proba`.
    """
    import treelite

    (root / TREES).parent.mkdir(parents=True, exist_ok=True)
    treelite.sklearn.import_model(model).serialize(str(root / TREES))
    answers = probability(margins(read_trees(root), features), LOGISTIC)
    difference = float(np.abs(answers - model.predict_proba(features)[:, 1]).max())
    if not difference <= TOLERANCE:
        raise ModelingError(
            f"the trees in {TREES} differ from scikit-learn's by {difference:.2e}, more than {TOLERANCE:.0e}, so the "
            "model was not registered: use the locked versions of scikit-learn and treelite"
        )


def read_trees(root: Path) -> treelite.Model:
    """Load the trees under `root`. Call `contracts.bundle.verify` first, because treelite may load a damaged file.

    Raises `BundleError` for damage that treelite detects.
    """
    import treelite

    try:
        return treelite.Model.deserialize(str(root / TREES))
    except treelite.TreeliteError as error:
        raise BundleError(f"{TREES} cannot be loaded ({error}): {REBUILD}") from error


def margins(trees: treelite.Model, features: NDArray[np.float64]) -> NDArray[np.float64]:
    """The log-odds of payments with `features` of shape (n, f); shape (n,)."""
    import treelite

    found: NDArray[np.float64] = treelite.gtil.predict(trees, features, pred_margin=True).reshape(-1)
    return found
