"""Choose the monotonic constraints: a larger amount must not lower the score, unless that costs too much precision.

A score that falls with the amount is hard to explain, so by default the trees are constrained to rise with it. Where
small amounts are a sign of fraud, for example when a thief tests a card, the constraint may cost too much and is
dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from contracts.features import WINDOW_DAYS
from contracts.labels import DAY, LABEL_DELAY
from modeling.models.boosting import fit_boosted_trees
from modeling.threads import run_together

if TYPE_CHECKING:
    from modeling.data.dataset import Dataset

RISING: Final = (
    "amount",
    "amount_to_median",
    "amount_to_upper_quartile",
    "amount_deviations",
    *(f"customer_amount_mean_{days}d" for days in WINDOW_DAYS),
)
"""All features that grow with the payment's own amount."""
MAX_LOSS: Final = 0.02
"""The most average precision that the constraints may cost. They cost .003 on the published payments, .17 where frauds
are small."""
TEST_SECONDS: Final = 7 * DAY
MIN_FRAUDS: Final = 30
"""The fewest frauds in either part to measure the loss; with fewer, the constraints are kept."""


def monotonic_constraints(data: Dataset, features: Sequence[str], parameters: dict[str, Any]) -> list[int]:
    """The constraint of each feature: 1 if a larger value must not lower the score, else 0.

    The loss is measured inside the training window: fitted without its last fourteen days, tested on its last seven.
    """
    held = rising(features)
    tested = data.occurred > data.occurred.max() - TEST_SECONDS
    earlier = data.occurred <= data.occurred.max() - TEST_SECONDS - LABEL_DELAY
    if min(data.frauds[tested].sum(), data.frauds[earlier].sum()) < MIN_FRAUDS:
        return held
    free = [0] * len(held)
    without, with_them = run_together(
        [partial(_average_precision, data, earlier, tested, parameters, constraints) for constraints in (free, held)]
    )
    return free if without - with_them > MAX_LOSS else held


def rising(features: Sequence[str]) -> list[int]:
    """The constraints that make the score rise with the amount."""
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
