"""Scores are constrained to rise with the amount, unless that would blind the model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from contracts.features import FEATURES
from modeling.data.dataset import Dataset
from modeling.models.estimators import CANDIDATE
from modeling.models.monotonicity import MIN_FRAUDS, RISING, monotonic_constraints
from tests.modeling.windows import window

HELD = [int(name in RISING) for name in FEATURES]
QUICK = CANDIDATE | {"max_iter": 20}


@pytest.fixture(scope="module")
def genuine() -> Dataset:
    """Forty days of payments with amounts of 1 to 500 and no frauds yet."""
    rng = np.random.default_rng(0)
    count = 20_000
    features = rng.random((count, len(FEATURES)))
    features[:, FEATURES.index("amount")] = rng.uniform(1, 500, count)
    return replace(
        window(payments=count),
        features=features,
        frauds=np.zeros(count, dtype=bool),
        occurred=np.sort(rng.integers(0, 40 * 86_400, count)),
    )


def stolen(genuine: Dataset, low: float, high: float) -> Dataset:
    amounts = genuine.features[:, FEATURES.index("amount")]
    return replace(genuine, frauds=(amounts > low) & (amounts < high))


def test_with_large_frauds_the_trees_are_constrained(genuine: Dataset) -> None:
    assert monotonic_constraints(stolen(genuine, 480, 501), FEATURES, QUICK) == HELD


def test_with_small_frauds_they_are_not(genuine: Dataset) -> None:
    assert monotonic_constraints(stolen(genuine, 0, 10), FEATURES, QUICK) == [0] * len(FEATURES)


def test_with_too_few_frauds_the_trees_are_constrained(genuine: Dataset) -> None:
    small = stolen(genuine, 0, 10)
    last = np.flatnonzero(small.frauds & (small.occurred > small.occurred.max() - 7 * 86_400))
    few = small.frauds.copy()
    few[last[MIN_FRAUDS - 1 :]] = False
    assert monotonic_constraints(replace(small, frauds=few), FEATURES, QUICK) == HELD


def test_a_subset_of_features_has_as_many_constraints(genuine: Dataset) -> None:
    assert monotonic_constraints(stolen(genuine, 600, 700), ["is_night", "amount"], QUICK) == [0, 1]
