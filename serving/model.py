"""A champion: a verified bundle and its trees, ready to score."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import treelite

from contracts.bundle import METADATA, TREES, Bundle, BundleError, probability, read_bundle, verify
from contracts.features import Floats

FILES: Final = (METADATA, TREES)
"""What the scorer takes of a model version, beside the manifest that vouches for it."""


@dataclass(frozen=True)
class Champion:
    """One model version as the scorer runs it."""

    version: str
    bundle: Bundle
    trees: treelite.Model

    def margins(self, matrix: Floats) -> Floats:
        """Raw margins (log-odds) of a feature matrix (n, features), shape (n,)."""
        if len(matrix) == 0:
            return np.empty(0, dtype=np.float64)
        raw = treelite.gtil.predict(self.trees, matrix, nthread=1, pred_margin=True)
        return np.asarray(raw, dtype=np.float64).reshape(len(matrix))

    def scores(self, matrix: Floats) -> Floats:
        """Calibrated probabilities of a feature matrix (n, features), shape (n,)."""
        return probability(self.margins(matrix), self.bundle.calibration)

    @property
    def reference(self) -> Floats:
        """The typical genuine payment that reasons are measured against, shape (features,)."""
        return np.array([self.bundle.reference[name] for name in self.bundle.features], dtype=np.float64)


def load_champion(root: Path, version: str) -> Champion:
    """The model version below `root`, whose files are verified first. Raises `BundleError`."""
    verify(root, FILES)
    bundle = read_bundle(root)
    try:
        trees = treelite.Model.deserialize(str(root / TREES))
    except treelite.TreeliteError as error:
        raise BundleError(f"{TREES} cannot be loaded: {error}") from error
    champion = Champion(version, bundle, trees)
    _check_trees(champion)
    return champion


def reference_margin(champion: Champion) -> float:
    """The margin of the reference payment."""
    return float(champion.margins(champion.reference[np.newaxis])[0])


def _check_trees(champion: Champion) -> None:
    wanted = len(champion.bundle.features)
    if champion.trees.num_feature != wanted:
        raise BundleError(f"{TREES} take {champion.trees.num_feature} features, and the bundle names {wanted}")
    raw = treelite.gtil.predict(champion.trees, champion.reference[np.newaxis], nthread=1, pred_margin=True)
    if np.size(raw) != 1:
        raise BundleError(f"{TREES} give {np.size(raw)} values for one payment, and a margin is one")
    if not np.isfinite(raw).all():
        raise BundleError(f"{TREES} give {np.ravel(raw)[0]} for the reference payment: train again")
