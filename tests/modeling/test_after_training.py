"""The models after training: how changes to a payment must, and must not, change its score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from contracts.features import FEATURES, customer_features, payment_features
from modeling.data.dataset import SplitData, read_split
from modeling.data.split import split_days
from modeling.evaluate import evaluate
from modeling.models.candidate import DecisionPolicy
from modeling.models.estimators import fit_candidate
from modeling.models.monotonicity import RISING
from modeling.settings import Settings
from modeling.train import fit_decision_policy, train
from tests.modeling.conftest import SettingsFor
from tests.modeling.lakes import DAYS, write_lake


@pytest.fixture(scope="module")
def data(lake: Path) -> SplitData:
    return read_split(lake, split_days(DAYS))


@pytest.fixture(scope="module")
def decided(data: SplitData) -> tuple[Any, DecisionPolicy]:
    model, costs = fit_candidate(data.training), Settings().costs
    return model, fit_decision_policy(model, data.validation, costs, reviews_per_1000=1_000.0)


@pytest.mark.parametrize("times", [1.01, 1.5, 4.0, 100.0])
def test_a_larger_amount_against_the_same_habit_does_not_lower_the_score(
    data: SplitData, decided: tuple[Any, DecisionPolicy], times: float
) -> None:
    """No payment's score falls at all: every feature that grows with the amount is constrained."""
    model, decider = decided
    dearer = data.test.features.copy()
    dearer[:, [FEATURES.index(name) for name in RISING]] *= times
    before, after = (decider.scores(model.decision_function(rows)) for rows in (data.test.features, dearer))
    assert (after >= before).all()
    assert times < 4 or (after > before).any()


def test_every_feature_that_grows_with_the_amount_is_constrained() -> None:
    """Computed by the kernel: the same payment after the same history, with a larger amount."""
    occurred = 1_700_000_000 + 3_600 * np.arange(6)
    parts = []
    for cents in (2_000, 9_000):
        amounts = np.array([1_000, 1_500, 900, 7_000, 1_200, cents])
        own = customer_features(np.zeros(6, dtype=np.int64), occurred, amounts, np.array([5]))
        parts.append(own | payment_features(occurred[5:], amounts[5:]))
    cheap, dear = parts
    assert {name for name in cheap if dear[name][0] > cheap[name][0]} == set(RISING)
    assert all(dear[name][0] == cheap[name][0] for name in cheap if name not in RISING)


def test_the_budget_is_kept_on_the_window_of_the_thresholds(data: SplitData) -> None:
    model, costs = fit_candidate(data.training), Settings().costs
    margins = model.decision_function(data.validation.features)
    asked = {}
    for budget in (0.0, 50.0, 1_000.0):
        decider = fit_decision_policy(model, data.validation, costs, budget)
        scores = decider.scores(margins)
        asked[budget] = 1_000 * np.mean((scores >= decider.thresholds.review) & (scores < decider.thresholds.decline))
    assert asked[0.0] == 0
    assert 0 < asked[50.0] <= 50 < asked[1_000.0]


def relabel(lake: Path) -> None:
    """Give the same payments, customers and terminals other ids, in another order."""
    for file in sorted(lake.glob("*/day=*/part.parquet")):
        table = pq.read_table(file, partitioning=None)
        for place, name in enumerate(table.column_names):
            if name.endswith("_id"):
                others = 10**9 - 7 * table[name].to_numpy()
                table = table.set_column(place, name, [others])
        pq.write_table(table, file)


@pytest.mark.usefixtures("few_trees")
def test_other_ids_for_the_same_payments_change_no_score_and_no_figure(
    settings_for: SettingsFor, lake: Path, tmp_path: Path
) -> None:
    write_lake(tmp_path)
    relabel(tmp_path)
    one, other = (read_split(folder, split_days(DAYS)).test for folder in (lake, tmp_path))
    assert not set(one.transaction_id) & set(other.transaction_id)
    assert not set(one.customer_id) & set(other.customer_id)
    found = []
    for settings in (settings_for(), settings_for(tmp_path)):
        figures = evaluate(train(DAYS, settings), settings)
        found.append({name: value for name, value in figures.items() if name.startswith(("test_", "baseline_"))})
    assert found[0] == found[1]
