"""The folds for model selection, and their uses: the search and the ablation."""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest

from contracts.days import DayRange
from contracts.features import BASE_FEATURES, FEATURES
from contracts.labels import DAY, LABEL_DELAY_DAYS
from modeling import ablate, tune
from modeling.data.folds import FOLDS, add_optional_days, days_to_choose_on, fold_starts, read_folds
from modeling.data.split import HISTORY_DAYS, split_days
from modeling.errors import ModelingError
from modeling.models.estimators import CANDIDATE
from modeling.models.search_space import CURRENT_CHOICES, FAMILIES, fit
from tests.modeling.conftest import SettingsFor
from tests.modeling.lakes import START, add_reports, write_lake

DAYS = DayRange(START, START + timedelta(days=62))
FEWEST = 21 + LABEL_DELAY_DAYS + 7 * (FOLDS - 1)
SMALL: dict[str, Any] = {"max_iter": 5, "max_leaf_nodes": 4}


@pytest.fixture(scope="module")
def months(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("months")
    # A card with a known fraud is not tested again: there must be many.
    write_lake(folder, DAYS, customers=10_000)
    return folder


@pytest.fixture
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SMALL.items():
        monkeypatch.setitem(CURRENT_CHOICES, name, value)
        monkeypatch.setitem(CANDIDATE, name, value)


def test_every_label_of_the_last_fold_is_known_at_the_end() -> None:
    starts = fold_starts(DAYS, FOLDS)
    last_tested = starts[-1] + 20
    assert last_tested + LABEL_DELAY_DAYS == DAYS.end_second // DAY - 1
    assert all(later - earlier == 7 for earlier, later in itertools.pairwise(starts))


def test_too_few_days_for_the_folds() -> None:
    enough = DayRange(DAYS.first, DAYS.first + timedelta(days=FEWEST - 1))
    assert len(fold_starts(enough, FOLDS)) == FOLDS
    with pytest.raises(ModelingError, match=rf"has {FEWEST - 1} days.*need {FEWEST}"):
        fold_starts(DayRange(DAYS.first + timedelta(days=1), enough.last), FOLDS)


def test_a_fold_trains_on_its_history_and_never_on_what_it_tests(settings_for: SettingsFor, months: Path) -> None:
    folds = read_folds(settings_for(months), DAYS, 2)
    for start in folds.starts:
        training, test = folds.training(start, HISTORY_DAYS), folds.tests[start]
        assert training.occurred.max() // DAY == start + 6
        assert test.occurred.min() // DAY == start + 14
        assert training.occurred.max() + LABEL_DELAY_DAYS * DAY < test.occurred.min()


def test_folds_without_frauds_are_rejected(settings_for: SettingsFor, tmp_path: Path) -> None:
    write_lake(tmp_path, DAYS, a_day=5, genuine=True)
    with pytest.raises(ModelingError, match=r"0 known frauds.*needs both frauds and genuine payments"):
        read_folds(settings_for(tmp_path), DAYS, 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_learns(settings_for: SettingsFor, months: Path, family: str) -> None:
    folds = read_folds(settings_for(months), DAYS, 1)
    others = {"n_estimators": 20, "max_depth": 6, "leaf": 5, "C": 1.0}
    chosen = CURRENT_CHOICES | SMALL | others | {"family": family, "fraud_weight": 3.0}
    test = folds.tests[folds.starts[0]]
    scores = fit(chosen, folds.training(folds.starts[0], 30), [0] * len(FEATURES)).predict_proba(test.features)[:, 1]
    ranked = test.frauds[np.argsort(-scores)][: int(test.frauds.sum())]
    assert ranked.mean() > 2 * test.frauds.mean()


@pytest.mark.usefixtures("few_rounds")
def test_a_search_resumes_after_an_interruption(settings_for: SettingsFor, months: Path, tmp_path: Path) -> None:
    settings, studies = settings_for(months), tmp_path / "tune" / "studies.db"
    first = tune.tune(DAYS, 2, settings, studies)
    again = tune.tune(DAYS, 3, settings, studies)
    assert (first["trials"], again["trials"]) == (2, 3)
    assert again["average_precision"] >= first["average_precision"]
    study = tune.open_study(read_folds(settings, DAYS), DAYS, studies)
    assert study.trials[0].params["family"] == CURRENT_CHOICES["family"]
    assert len({json.dumps(trial.params) for trial in study.trials}) == 3
    client = mlflow.MlflowClient(settings.mlflow_tracking_uri)
    parent = client.get_run(study.user_attrs[tune.PARENT])
    nested = client.search_runs([parent.info.experiment_id], f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
    assert len(nested) == 3
    assert json.loads(parent.data.tags["best"])["average_precision"] == again["average_precision"]
    assert {run.info.status for run in nested} == {"FINISHED"}


def test_other_payments_of_the_same_days_are_another_search(
    settings_for: SettingsFor, months: Path, tmp_path: Path
) -> None:
    write_lake(tmp_path, DAYS, customers=10_000, seed=1)
    one, other = (read_folds(settings_for(lake), DAYS, 1) for lake in (months, tmp_path))
    names = {tune.open_study(folds, DAYS, tmp_path / "studies.db").study_name for folds in (one, other)}
    assert len(names) == 2


def test_a_late_report_is_not_visible_to_an_earlier_training(
    settings_for: SettingsFor, months: Path, tmp_path: Path
) -> None:
    shutil.copytree(months, tmp_path, dirs_exist_ok=True)
    before = read_folds(settings_for(tmp_path), DAYS, 1)
    (start,) = before.starts
    genuine = before.training(start, 7)
    number = int(genuine.transaction_id[~genuine.frauds][0])
    add_reports(tmp_path, {number: (start + 14) * DAY + 1})
    after = read_folds(settings_for(tmp_path), DAYS, 1)
    assert after.training(start, 7).frauds.tolist() == genuine.frauds.tolist()
    assert after.data.frauds.sum() == before.data.frauds.sum() + 1


def test_the_folds_end_before_the_test_window(months: Path) -> None:
    parser = argparse.ArgumentParser()
    add_optional_days(parser)
    days = days_to_choose_on(parser, parser.parse_args([]), months)
    assert days == DayRange(DAYS.first, split_days(DAYS).test.first - timedelta(days=1))


@pytest.mark.usefixtures("few_rounds")
def test_the_ablation_says_what_each_feature_adds(
    settings_for: SettingsFor, months: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {"without amount": [name for name in FEATURES if name != "amount"], ablate.ALL: list(FEATURES)}
    monkeypatch.setattr(ablate, "sets", lambda: few)
    found = ablate.ablate(DAYS, settings_for(months), tmp_path / "out" / "ablation.md")
    assert found["without amount"] < found[ablate.ALL] - 0.05
    table = (tmp_path / "out" / "ablation.md").read_text()
    assert f"| without amount | {found['without amount']:.4f} |" in table
    assert "of 3 |" not in table
    assert "| 4 of 4 |" in table


def test_every_feature_beyond_the_published_ones_is_left_out_once() -> None:
    found = ablate.sets()
    assert found["the published 15"] == list(BASE_FEATURES)
    alone = [set(FEATURES) - set(names) for name, names in found.items() if name.startswith("without")]
    assert sorted(name for (name,) in alone) == sorted(set(FEATURES) - set(BASE_FEATURES))
