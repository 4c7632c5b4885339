"""No number that is not finite passes a bundle, or becomes a score."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from contracts.bundle import BundleError, Calibration
from contracts.features import FEATURES
from serving.errors import NotReadyError
from serving.model.champion import load_champion
from tests.serving.bundles import REFERENCE, write_bundle
from tests.serving.forests import forest


@pytest.mark.parametrize("leaf", [math.nan, math.inf, -math.inf])
def test_trees_that_give_some_payment_no_finite_score_are_rejected(tmp_path: Path, leaf: float) -> None:
    """The reference payment reaches the other leaf."""
    write_bundle(tmp_path, trees=forest([(FEATURES.index("amount"), 100.0, -1.0, leaf)], len(FEATURES)))
    with pytest.raises(BundleError, match="do not always add up to a finite number"):
        load_champion(tmp_path, "7")


def test_a_score_that_is_no_number_is_an_error_that_names_the_version(tmp_path: Path) -> None:
    """No bundle that loads has such a score; a library's error may."""
    champion = load_champion(write_bundle(tmp_path), "7")
    broken = champion.bundle.model_copy(
        update={"calibration": Calibration.model_construct(slope=math.nan, intercept=0)}
    )
    matrix = np.array([list(REFERENCE.values())])
    with pytest.raises(NotReadyError, match="version 7 computes scores that are not finite numbers"):
        replace(champion, bundle=broken).scores(matrix)
