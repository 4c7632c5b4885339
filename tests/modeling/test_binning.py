"""Trees trained on binned values score raw ones the same, and their bins are where frauds are."""

from __future__ import annotations

import numpy as np
import pytest

from modeling.errors import ModelingError
from modeling.models.binning import MAX_VALUES, kept_values, snap
from modeling.models.boosting import fit_boosted_trees

QUICK = {"max_iter": 30, "max_leaf_nodes": 31, "min_samples_leaf": 5, "early_stopping": False, "random_state": 0}


def payments(count: int = 30_000) -> tuple[np.ndarray, np.ndarray]:
    """Three features; frauds are the payments whose first is between 999.0 and 999.5 of 1,000, one in 2,000."""
    rng = np.random.default_rng(0)
    features = np.column_stack([rng.uniform(0, 1_000, count), rng.integers(0, 40, count), rng.normal(size=count)])
    features[:200, 0] = rng.uniform(999, 1_000, 200)
    return features, (features[:, 0] > 999) & (features[:, 0] < 999.5)


def test_raw_values_score_exactly_like_binned_ones() -> None:
    features, frauds = payments()
    model = fit_boosted_trees(features, frauds, QUICK, [0, 0, 0])
    assert model.decision_function(features).tolist() == model.decision_function(snap(features, frauds)).tolist()


def test_frauds_between_two_quantiles_of_all_payments_are_separated() -> None:
    """255 equal bins of 30,000 payments hold 118 each, so half of the payments in the frauds' bin would be genuine."""
    features, frauds = payments()
    scores = fit_boosted_trees(features, frauds, QUICK, [0, 0, 0]).decision_function(features)
    assert scores[frauds].min() > scores[~frauds].max()


def test_each_column_keeps_few_values_and_its_order() -> None:
    features, frauds = payments()
    snapped = snap(features, frauds)
    for column, before in zip(snapped.T, features.T, strict=True):
        assert len(np.unique(column)) <= MAX_VALUES
        assert np.all(np.diff(column[np.argsort(before, kind="stable")]) >= 0)
        assert set(np.unique(column)) <= set(before)
    assert np.array_equal(snapped[:, 1], features[:, 1])


def test_a_value_of_most_payments_takes_only_one_bin() -> None:
    column = np.concatenate([np.zeros(9_000), np.linspace(1, 2, 1_000)])
    kept = kept_values(column, np.ones(10_000), 100)
    assert kept[0] == 0
    assert len(kept) == 100
    assert np.diff(kept[1:]).max() < 0.02


def test_a_kind_that_is_missing_is_named() -> None:
    with pytest.raises(ModelingError, match=r"0 frauds among 5 payments.*: use more days"):
        snap(np.ones((5, 2)), np.zeros(5, dtype=bool))
