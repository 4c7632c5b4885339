"""The models after training: what a change of one payment does to its score, and what must not change it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from contracts.features import FEATURES
from modeling.candidate import Decider
from modeling.dataset import SplitData, read_split
from modeling.estimators import fit_candidate, typical_genuine
from modeling.evaluate import evaluate
from modeling.settings import Settings
from modeling.split import split_days
from modeling.train import fit_decider, train
from tests.modeling.conftest import SettingsFor
from tests.modeling.lakes import DAYS, write_lake

RISING = np.array([20.0, 80.0, 240.0, 320.0, 400.0])
HARDLY = 0.02
"""Trees are steps: by so little of a probability a score may fall where the data says nothing."""


@pytest.fixture(scope="module")
def data(lake: Path) -> SplitData:
    return read_split(lake, split_days(DAYS))


@pytest.fixture(scope="module")
def decided(data: SplitData) -> tuple[Any, Decider]:
    model, costs = fit_candidate(data.training), Settings().costs
    return model, fit_decider(model, data.validation, costs, reviews_per_1000=1_000.0)


def test_a_larger_amount_against_the_same_habit_does_not_lower_the_score(
    data: SplitData, decided: tuple[Any, Decider]
) -> None:
    model, decider = decided
    payments = np.tile(typical_genuine(data.training), (len(RISING), 1))
    payments[:, FEATURES.index("amount")] = RISING
    scores = decider.scores(model.decision_function(payments))
    assert (np.diff(scores) > -HARDLY).all()
    assert scores[-1] > scores[0] + 0.1


def test_the_budget_holds_on_the_window_that_the_thresholds_were_chosen_on(data: SplitData) -> None:
    model, costs = fit_candidate(data.training), Settings().costs
    margins = model.decision_function(data.validation.features)
    asked = {}
    for budget in (0.0, 50.0, 1_000.0):
        decider = fit_decider(model, data.validation, costs, budget)
        scores = decider.scores(margins)
        asked[budget] = 1_000 * np.mean((scores >= decider.thresholds.review) & (scores < decider.thresholds.decline))
    assert asked[0.0] == 0
    assert 0 < asked[50.0] <= 50 < asked[1_000.0]


def relabel(lake: Path) -> None:
    """Other numbers for the same payments, customers and terminals, in another order."""
    for file in sorted(lake.glob("*/day=*/part.parquet")):
        table = pq.read_table(file, partitioning=None)
        for place, name in enumerate(table.column_names):
            if name.endswith("_id"):
                others = 10**9 - 7 * table[name].to_numpy()
                table = table.set_column(place, name, [others])
        pq.write_table(table, file)


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
