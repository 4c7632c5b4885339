"""Shapley values of trees, checked against the definition and their properties."""

from __future__ import annotations

from itertools import combinations
from math import factorial
from pathlib import Path

import numpy as np
import pytest
import treelite
from treelite import Model

from contracts.bundle import BundleError
from contracts.features import FEATURES
from contracts.histories import Floats
from serving.explain.shapley import game_of, shapley_values
from serving.explain.tree_paths import read_leaves
from serving.model.champion import load_champion
from tests.serving.bundles import REFERENCE, write_bundle
from tests.serving.forests import Tree, forest, random_tree

BOUNDS = 6
NIGHT: Tree = (0, 500.0, 0.0, (1, 0.5, 0.0, 6.0))
"""6.0 above 500 at night, by the features amount and is_night."""


def margins(model: Model, matrix: Floats) -> Floats:
    return np.asarray(treelite.gtil.predict(model, matrix, pred_margin=True)).reshape(-1)


def values(model: Model, reference: Floats, payments: Floats) -> Floats:
    game = game_of(read_leaves(model), reference)
    return np.array([shapley_values(game, payment) for payment in payments])


def by_definition(model: Model, reference: Floats, payment: Floats) -> list[float]:
    """The mean, over all orders of the features, of the change when each is added to those before it."""
    every = range(len(payment))
    n = len(payment)

    def worth(some: tuple[int, ...]) -> float:
        mixed = reference.copy()
        mixed[list(some)] = payment[list(some)]
        return float(margins(model, mixed[np.newaxis])[0])

    def part(one: int) -> float:
        others = [feature for feature in every if feature != one]
        return sum(
            factorial(len(some)) * factorial(n - len(some) - 1) / factorial(n) * (worth((*some, one)) - worth(some))
            for size in range(n)
            for some in combinations(others, size)
        )

    return [part(one) for one in every]


@pytest.mark.parametrize("seed", range(8))
def test_they_equal_the_definition_also_at_thresholds(seed: int) -> None:
    random = np.random.default_rng(seed)
    features = int(random.integers(1, 7))
    trees = [random_tree(random, int(random.integers(1, 13)), features, BOUNDS) for _ in range(4)]
    model = forest(trees, features, base=0.7)
    # Whole numbers are exactly at thresholds, halves between them.
    reference, *payments = random.integers(-1, 2 * BOUNDS, size=(9, features)) / 2
    found = values(model, reference, np.array(payments))
    for payment, parts in zip(payments, found, strict=True):
        assert parts.tolist() == pytest.approx(by_definition(model, reference, payment), abs=1e-12)
    assert np.abs(found).max() > 0


def test_they_add_up_on_trees_of_real_size() -> None:
    random = np.random.default_rng(7)
    features = 35
    model = forest([random_tree(random, 31, features) for _ in range(400)], features, base=-4.0)
    reference = random.integers(0, 10, features).astype(np.float64)
    payments = np.concatenate([random.uniform(-1, 11, (200, features)), random.integers(0, 10, (100, features))])
    away = margins(model, payments) - margins(model, reference[np.newaxis])
    assert values(model, reference, payments).sum(axis=1) == pytest.approx(away, abs=1e-9)


def test_symmetric_features_share_equally_and_an_unused_one_gets_zero() -> None:
    model = forest([NIGHT], 3)
    day, night = np.array([61.0, 0.0, 1.0]), np.array([900.0, 1.0, 2.0])
    assert values(model, day, night[np.newaxis]).tolist() == [[3.0, 3.0, 0.0]]
    assert values(model, night, day[np.newaxis]).tolist() == [[-3.0, -3.0, 0.0]]
    assert values(model, day, np.array([[900.0, 0.0, 2.0], [500.0, 1.0, 2.0], day])).tolist() == [[0.0] * 3] * 3
    assert values(model, np.array([900.0, 0.0, 1.0]), night[np.newaxis]).tolist() == [[0.0, 6.0, 0.0]]


def test_trees_without_a_split_add_nothing() -> None:
    assert values(forest([1.5, -0.5], 2), np.zeros(2), np.ones((3, 2))).tolist() == [[0.0, 0.0]] * 3


REFUSED = {
    "another operator": (forest([NIGHT], len(FEATURES), operator="<"), "tree 0 in .* has a split other than"),
    "a split by category": (forest([1.0, NIGHT], len(FEATURES), operator="in"), "tree 1 in .* has a split other than"),
    "a mean of trees": (forest([NIGHT, -1.0], len(FEATURES), average=True), "its leaves add up to -1.0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_trees_that_cannot_be_explained_exactly_are_rejected(tmp_path: Path, case: str) -> None:
    trees, told = REFUSED[case]
    write_bundle(tmp_path / "bundle", trees=trees)
    with pytest.raises(BundleError, match=told):
        load_champion(tmp_path / "bundle", "1")


def test_a_champion_s_contributions_are_in_log_odds(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", trees=forest([NIGHT], len(FEATURES)), calibration=(0.5, -2.0))
    champion = load_champion(tmp_path / "bundle", "1")
    assert champion.reference_log_odds == -2.0
    changed = REFERENCE | {"amount": 900.0, FEATURES[1]: 1.0}
    (parts,) = champion.contributions(np.array([[changed[name] for name in FEATURES]])).tolist()
    assert dict(zip(FEATURES, parts, strict=True)) == dict.fromkeys(FEATURES, 0.0) | {"amount": 1.5, FEATURES[1]: 1.5}
