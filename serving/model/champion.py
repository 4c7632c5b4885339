"""A champion: a verified bundle and its trees, ready to score."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import treelite

from contracts.bundle import (
    METADATA,
    REBUILD,
    RETRAIN,
    SCORER_FILES,
    TREES,
    Bundle,
    BundleError,
    probability,
    read_bundle,
    verify,
)
from contracts.histories import Floats
from serving.errors import NotReadyError
from serving.explain.shapley import Game, game_of, shapley_values
from serving.explain.tree_paths import Leaves, read_leaves
from serving.model.model_card import Card, read_card

FILES: Final = SCORER_FILES
TOLERANCE: Final = 1e-9


@dataclass(frozen=True)
class Champion:
    """One model version, ready to score. `game` holds its trees against the reference payment, for Shapley values."""

    version: str
    bundle: Bundle
    trees: treelite.Model
    game: Game
    card: Card

    def margins(self, matrix: Floats) -> Floats:
        """Raw margins (log-odds) of a feature matrix (n, features), shape (n,)."""
        return _margins(self.trees, matrix)

    def scores(self, matrix: Floats) -> Floats:
        """Calibrated probabilities of a feature matrix (n, features), shape (n,).

        Raises `NotReadyError` for one that is not a finite number: JSON has none, so neither a response nor a record
        could hold it.
        """
        scores = probability(self.margins(matrix), self.bundle.calibration)
        if not np.isfinite(scores).all():
            raise NotReadyError(
                f"version {self.version} computes scores that are not finite numbers: promote another version"
            )
        return scores

    def contributions(self, matrix: Floats) -> Floats:
        """What each feature adds to the log-odds of each payment's score; both of shape (n, features).

        They add up to the difference from `reference_log_odds`, up to rounding. Payments are computed one by one, which
        bounds the memory.
        """
        values = [shapley_values(self.game, payment) for payment in matrix]
        return self.bundle.calibration.slope * np.array(values, dtype=np.float64).reshape(matrix.shape)

    @property
    def reference_log_odds(self) -> float:
        """The log-odds of the reference payment's score: the base of contributions."""
        calibration = self.bundle.calibration
        return calibration.slope * reference_margin(self) + calibration.intercept


def load_champion(root: Path, version: str) -> Champion:
    """Verify and load the model version under `root`. Raises `BundleError`."""
    verify(root, FILES)
    bundle = read_bundle(root)
    try:
        trees = treelite.Model.deserialize(str(root / TREES))
    except treelite.TreeliteError as error:
        raise BundleError(f"{TREES} cannot be loaded ({error}): {REBUILD}") from error
    _check_trees(trees, bundle)
    leaves = read_leaves(trees)
    _check_finite(trees, leaves, bundle)
    _check_sum(trees, leaves, _reference(bundle))
    return Champion(version, bundle, trees, game_of(leaves, _reference(bundle)), read_card(root))


def reference_margin(champion: Champion) -> float:
    """The margin of the reference payment."""
    return float(champion.margins(_reference(champion.bundle)[np.newaxis])[0])


def _reference(bundle: Bundle) -> Floats:
    """The typical genuine payment against which reasons are measured, shape (features,)."""
    return np.array([bundle.reference[name] for name in bundle.features], dtype=np.float64)


def _margins(trees: treelite.Model, matrix: Floats) -> Floats:
    if len(matrix) == 0:
        return np.empty(0, dtype=np.float64)
    raw = treelite.gtil.predict(trees, matrix, nthread=1, pred_margin=True)
    return np.asarray(raw, dtype=np.float64).reshape(len(matrix))


def _check_trees(trees: treelite.Model, bundle: Bundle) -> None:
    wanted = len(bundle.features)
    if trees.num_feature != wanted:
        raise BundleError(f"{TREES} takes {trees.num_feature} features, but {METADATA} names {wanted}: {RETRAIN}")
    raw = treelite.gtil.predict(trees, _reference(bundle)[np.newaxis], nthread=1, pred_margin=True)
    if np.size(raw) != 1:
        raise BundleError(
            f"{TREES} gives {np.size(raw)} values for one payment instead of one margin: train a binary classifier"
        )
    if not np.isfinite(raw).all():
        raise BundleError(f"{TREES} gives {np.ravel(raw)[0]} for the reference payment: {RETRAIN}")


def _check_finite(trees: treelite.Model, leaves: Leaves, bundle: Bundle) -> None:
    """Reject trees and a calibration that give some payment log-odds or a contribution that is not a finite number."""
    with np.errstate(over="ignore", invalid="ignore"):
        largest = np.abs(leaves.values).sum() + np.abs(_base_scores(trees)).sum()
        bound = abs(bundle.calibration.slope) * largest + abs(bundle.calibration.intercept)
    if not np.isfinite(bound):
        raise BundleError(
            f"the leaves of {TREES} do not always add up to a finite number, with the calibration of {METADATA}: "
            f"{RETRAIN}"
        )


def _base_scores(trees: treelite.Model) -> Floats:
    return np.asarray(trees.get_header_accessor().get_field("base_scores"), dtype=np.float64)


def _check_sum(trees: treelite.Model, leaves: Leaves, reference: Floats) -> None:
    """Reject trees whose margin is not the sum of the leaves reached (but their mean, say): reasons would be wrong."""
    missed = np.bincount(leaves.leaf[~leaves.met(reference)], minlength=len(leaves.values))
    added = float(leaves.values[missed == 0].sum() + _base_scores(trees).sum())
    margin = float(_margins(trees, reference[np.newaxis])[0])
    if not np.isclose(added, margin, rtol=0, atol=TOLERANCE):
        raise BundleError(
            f"{TREES} gives {margin} for the reference payment, but its leaves add up to {added}: train trees whose "
            "margin is the sum of their leaves"
        )
