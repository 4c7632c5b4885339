"""Whether a larger amount may lower a score: it may not, unless the data says that it must.

A score that falls where more is taken cannot be explained to anyone, so the trees are held to rise with the amount. But
a thief who tries a card with a few cents is found by small amounts; where holding costs that much, it is given up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from contracts.features import WINDOW_DAYS
from contracts.labels import DAY, LABEL_DELAY
from modeling.models.boosting import fit_boosted_trees

if TYPE_CHECKING:
    from modeling.data.dataset import Dataset

RISING: Final = (
    "amount",
    "amount_to_median",
    "amount_to_upper_quartile",
    "amount_deviations",
    *(f"customer_amount_mean_{days}d" for days in WINDOW_DAYS),
)
"""Every feature that grows with a payment's own amount."""
WORTH: Final = 0.02
"""The average precision that holding may cost. On the published payments it costs .003; where frauds are small, .17."""
JUDGED: Final = 7 * DAY
LEAST_FRAUDS: Final = 30
"""In either part; of fewer, nothing can be told and the trees are held."""


def monotonic_constraints(data: Dataset, features: Sequence[str], parameters: dict[str, Any]) -> list[int]:
    """1 for each feature that may not lower the score by growing, 0 for the others.

    Judged inside the training window: fitted on its days but the last fourteen, tested on its last seven.
    """
    held = rising(features)
    tested = data.occurred > data.occurred.max() - JUDGED
    earlier = data.occurred <= data.occurred.max() - JUDGED - LABEL_DELAY
    if min(data.frauds[tested].sum(), data.frauds[earlier].sum()) < LEAST_FRAUDS:
        return held
    free = [0] * len(held)
    lost = _average_precision(data, earlier, tested, parameters, free)
    lost -= _average_precision(data, earlier, tested, parameters, held)
    return free if lost > WORTH else held


def rising(features: Sequence[str]) -> list[int]:
    """The constraints of trees that are held to rise with the amount."""
    return [int(name in RISING) for name in features]


def _average_precision(
    data: Dataset,
    fitted: NDArray[np.bool_],
    tested: NDArray[np.bool_],
    parameters: dict[str, Any],
    constraints: list[int],
) -> float:
    from sklearn.metrics import average_precision_score

    model = fit_boosted_trees(data.features[fitted], data.frauds[fitted], parameters, constraints)
    return float(average_precision_score(data.frauds[tested], model.decision_function(data.features[tested])))
