"""The models at evaluation: no better than chance if there is nothing to learn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from modeling.data.dataset import Dataset, SplitData, read_split
from modeling.data.split import split_days
from modeling.models.estimators import fit_baseline, fit_candidate
from tests.modeling.lakes import DAYS


@pytest.fixture(scope="module")
def data(lake: Path) -> SplitData:
    return read_split(lake, split_days(DAYS))


def shuffled(window: Dataset, seed: int) -> Dataset:
    return replace(window, frauds=np.random.default_rng(seed).permutation(window.frauds))


@pytest.mark.parametrize("fit", [fit_candidate, fit_baseline])
def test_labels_shuffled_in_training_leave_no_more_than_chance(data: SplitData, fit: type) -> None:
    share = data.test.frauds.mean()
    learnt = average_precision(fit(data.training), data.test)
    chance = [average_precision(fit(shuffled(data.training, seed)), data.test) for seed in range(5)]
    assert learnt > 3 * share
    assert np.mean(chance) < 1.5 * share


def average_precision(model: object, test: Dataset) -> float:
    return float(average_precision_score(test.frauds, model.decision_function(test.features)))  # type: ignore[attr-defined]
