"""A payment whose label is unknown is neither a fraud nor genuine, anywhere."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from contracts.days import DayRange
from contracts.labels import DAY
from modeling.data.dataset import Dataset, read_split, read_test, read_window, rows_of
from modeling.data.folds import read_folds
from modeling.data.lake import read_reports, read_unknown_labels
from modeling.data.split import HISTORY_DAYS, split_days
from modeling.errors import ModelingError
from modeling.notebooks.payments import read_lake
from modeling.settings import Settings
from modeling.train import fit_decision_policy, train
from tests.modeling.lakes import DAYS, add_reports, add_unknown_labels, write_lake
from tests.modeling.simulated_lake import simulated, write_world
from tests.modeling.test_exploration import SIZE, said_of

SPLIT = split_days(DAYS)


def a_third(data: Dataset, frauds: bool) -> list[int]:
    numbers: list[int] = data.transaction_id[data.frauds == frauds][::3].tolist()
    return numbers


@pytest.fixture
def own(tmp_path: Path) -> Path:
    write_lake(tmp_path)
    return tmp_path


def test_training_validation_and_test_leave_them_out_and_count_them(own: Path) -> None:
    before = read_split(own, SPLIT)
    for name, window in before.windows.items():
        unknown = {*a_third(window, frauds=False), *a_third(window, frauds=True)}
        add_unknown_labels(own, sorted(unknown))
        after = read_split(own, SPLIT)
        found = after.windows[name]
        kept = ~np.isin(window.transaction_id, list(unknown))
        assert found.left_out == len(unknown) > 0
        for one in ("transaction_id", "frauds", "amounts", "occurred", "patterns", "features", "customer_id"):
            assert np.array_equal(getattr(found, one), getattr(window, one)[kept]), one
        assert all(other.left_out == 0 for title, other in after.windows.items() if title != name)
        assert after.fingerprint != before.fingerprint
    shutil.rmtree(own / "unknown_labels")
    assert read_split(own, SPLIT).fingerprint == before.fingerprint


def test_the_gate_measures_without_them(own: Path) -> None:
    before = read_test(own, SPLIT)
    unknown = a_third(before, frauds=False)
    add_unknown_labels(own, unknown)
    after = read_test(own, SPLIT)
    assert not set(after.transaction_id) & set(unknown)
    assert len(after.frauds) == len(before.frauds) - len(unknown)
    assert after.frauds.sum() == before.frauds.sum()


def test_thresholds_are_chosen_without_them(own: Path) -> None:
    """Scores by the amount alone. With the large genuine payments of the validation gone, it pays to decline more."""

    class Amount:
        def decision_function(self, features: np.ndarray) -> np.ndarray:
            return np.asarray(features[:, 0] / 50 - 5)

    def threshold() -> float:
        validation, costs = read_split(own, SPLIT).validation, Settings().costs
        return fit_decision_policy(Amount(), validation, costs, 1_000).thresholds.decline

    before, data = threshold(), read_split(own, SPLIT).validation
    large = ~data.frauds & (data.amounts > 60)
    assert large.any()
    add_unknown_labels(own, data.transaction_id[large].tolist())
    assert threshold() != before


def test_one_that_is_reported_stays_left_out(own: Path) -> None:
    """Of unknown labels only frauds become known: counting these alone would overstate their share."""
    genuine = a_third(read_test(own, SPLIT), frauds=False)
    add_unknown_labels(own, genuine)
    before = read_test(own, SPLIT)
    assert not np.isin(before.transaction_id, genuine).any()
    add_reports(own, dict.fromkeys(genuine, SPLIT.test.start_second + 7 * DAY))
    assert np.array_equal(read_test(own, SPLIT).transaction_id, before.transaction_id)


def test_the_folds_leave_them_out_too(tmp_path: Path) -> None:
    days = DayRange(DAYS.first, SPLIT.test.last)
    write_lake(tmp_path, DAYS, customers=10_000)
    settings = Settings(lake_uri=str(tmp_path))
    whole = read_folds(settings, days, count=1)
    unknown = a_third(whole.data, frauds=False)
    add_unknown_labels(tmp_path, unknown)
    folds = read_folds(settings, days, count=1)
    assert folds.data.left_out == len(unknown)
    for start in folds.starts:
        for part in (folds.training(start, HISTORY_DAYS), folds.tests[start]):
            assert len(part.transaction_id) > 0
            assert not np.isin(part.transaction_id, unknown).any()


def test_a_window_of_unknown_labels_says_how_many_there_are(own: Path) -> None:
    data = read_split(own, SPLIT).validation
    add_unknown_labels(own, data.transaction_id.tolist())
    with pytest.raises(
        ModelingError, match=rf"0 known frauds among 0 payments \({len(data.frauds):,} more have an unkn"
    ):
        read_split(own, SPLIT)


def test_their_files_are_read_once_each_whatever_is_in_them(own: Path) -> None:
    assert len(read_unknown_labels(own)) == 0
    add_unknown_labels(own, [5, 3, 5])
    add_unknown_labels(own, [3, 9], DAYS.first)
    assert read_unknown_labels(own).tolist() == [3, 5, 9]
    chosen = rows_of(read_window(own, DAYS, read_reports(own, 10**10), 10**10), np.array([1, 0]))
    assert (len(chosen.frauds), chosen.left_out) == (2, 0)


def test_the_exploration_counts_them_in_no_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = simulated(SIZE)
    write_world(tmp_path, world)
    before = read_lake(tmp_path)
    genuine = before.settled[~before.settled["fraud"]]["transaction_id"][::4].tolist()
    frauds = before.frauds["transaction_id"][::4].tolist()
    add_unknown_labels(tmp_path, genuine + frauds)
    found = read_lake(tmp_path)
    assert len(found.payments) == len(before.payments)
    assert len(found.settled) == len(before.settled) - len(genuine) - len(frauds)
    assert len(found.frauds) == len(before.frauds) - len(frauds)
    assert found.payments["unknown"].sum() == len(genuine) + len(frauds)
    text = said_of(tmp_path, monkeypatch)
    assert f"The label of {len(genuine) + len(frauds):,} payments is unknown" in text
    assert f"{len(found.frauds)} payments are known frauds" in text
    assert f"of the {len(found.settled):,} labelled ones" in text
    young = len(before.payments) - len(before.settled)
    assert f"{young:,} payments of the last 7 days cannot be labelled yet" in text


def test_without_any_report_training_says_that_it_cannot(own: Path) -> None:
    """At once, without MLflow."""
    shutil.rmtree(own / "reports")
    nowhere = Settings(lake_uri=str(own), mlflow_tracking_uri="http://127.0.0.1:9")
    with pytest.raises(ModelingError) as caught:
        train(DAYS, nowhere)
    said = str(caught.value)
    assert said.startswith("cannot train without fraud reports, and there are no fraud reports in ")
    assert "run ingest over the days first; if the bank has none, load reports or payments with labels" in said
    assert "\n" not in said
