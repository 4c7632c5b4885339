"""The whole benchmark on small simulations: its page, its JSON and its errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bank.simulator import Simulation
from benchmarks.handbook import published_figures
from benchmarks.handbook.__main__ import main
from benchmarks.handbook.choose import ESTIMATORS, FIXED, GRIDS
from benchmarks.handbook.measures import MEASURES
from benchmarks.handbook.our_models import OURS
from benchmarks.handbook.published_models import BASE_WEEK
from tests.bank.frames import frame
from tests.benchmarks.published_data import write_published

ROOT = Path(__file__).parents[2]
SIMULATION = Simulation(customers=150, terminals=300, days=130, seed=1)


def handbook(folder: Path, **options: str) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ) | {"PYTHONPATH": str(ROOT), "DATA": "", "START": "", "WEEKS": ""} | options
    command = [sys.executable, "-m", "benchmarks.handbook"]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


def here(folder: Path, monkeypatch: pytest.MonkeyPatch, **options: str) -> None:
    """Run the benchmark in this process, where the libraries are already imported."""
    monkeypatch.chdir(folder)
    for name, value in ({"DATA": "", "START": "", "WEEKS": ""} | options).items():
        monkeypatch.setenv(name, value)
    main()


def results_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "var/handbook/results.json").read_text())
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("handbook")
    write_published(place / "data", SIMULATION)
    return place


@pytest.fixture(scope="module")
def run(folder: Path) -> subprocess.CompletedProcess[str]:
    done = handbook(folder, DATA="data", START="2025-03-29", WEEKS="2")
    assert done.returncode == 0, done.stderr
    return done


def test_every_model_has_every_figure(folder: Path, run: subprocess.CompletedProcess[str]) -> None:
    found = results_of(folder)
    assert list(found["base_week"]) == [*BASE_WEEK, *OURS]
    assert list(found["four_weeks"]) == [*ESTIMATORS, *OURS]
    assert list(found["validation"]) == [*ESTIMATORS, "champion"]
    for section in ("base_week", "four_weeks"):
        for model, figures in found[section].items():
            for measure in MEASURES:
                low, high = figures[f"{measure}_interval"]
                assert 0 <= low <= high <= 1, (section, model)
                assert 0 <= figures[measure] <= 1
    assert found["four_weeks"]["xgboost"]["ap_std"] > 0
    assert found["weeks"]["four_weeks"] == ["2025-03-29", "2025-04-05"]
    assert found["weeks"]["base_week"] == ["2025-03-29"]
    assert found["weeks"]["validation"] == ["2025-03-08", "2025-03-15"]
    assert set(found["champion_ap_less"]["four_weeks"]) == {*ESTIMATORS, *OURS} - {"champion"}
    assert list(found["champion_training_seconds"]) == ["2025-03-29", "2025-04-05"]
    assert all(found["chosen"][name] in grid for name, grid in GRIDS.items() if name != "random_forest")


def test_at_evaluation_the_champion_beats_the_published_xgboost(
    folder: Path, run: subprocess.CompletedProcess[str]
) -> None:
    found = results_of(folder)
    for section in ("base_week", "four_weeks", "validation"):
        assert found[section]["champion"]["ap"] > found[section]["xgboost"]["ap"], section
    assert found["champion_ap_less"]["four_weeks"]["xgboost"][0] > 0


def test_a_terminal_shows_the_page_and_its_path(folder: Path, run: subprocess.CompletedProcess[str]) -> None:
    page = (folder / "var/handbook/results.md").read_text()
    assert page in run.stdout
    assert "var/handbook/results.json" in run.stdout.splitlines()[-1]
    assert "training: " in run.stderr
    assert "resampling: 400 resamples" in run.stderr
    assert page.count("| champion ") == 5
    assert [path.name for path in (folder / "var/handbook").iterdir() if path.name.startswith(".")] == []


def test_other_data_is_not_compared_with_published_figures(folder: Path, run: subprocess.CompletedProcess[str]) -> None:
    assert results_of(folder)["published"] == {}
    page = (folder / "var/handbook/results.md").read_text()
    assert "lstm" not in page
    assert "difference" not in page
    assert set(published_figures.FOUR_WEEKS) > set(ESTIMATORS)


def test_a_short_history_and_few_cards_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No validation week, nine days before the base week, fewer than 100 cards, an amount at the contract's limit."""
    write_published(tmp_path / "data", Simulation(customers=40, terminals=30, days=30, seed=4))
    late = frame(1, 4, start="2025-01-30", first_id=0)
    late.assign(TX_AMOUNT=1_000_000.0).to_parquet(tmp_path / "data/c.parquet")
    here(tmp_path, monkeypatch, DATA="data", WEEKS="1")
    found = results_of(tmp_path)
    assert found["validation"] == {}
    assert found["chosen"] == FIXED
    assert found["weeks"]["base_week"] == found["weeks"]["four_weeks"] == ["2025-01-10"]
    assert any("parameters are fixed" in note for note in found["notes"])
    assert any("has 16 days of history" in note for note in found["notes"])
    assert found["base_week"]["champion"]["cp100"] < 0.4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "DATA is not set: give a folder of payments in the published format: make handbook DATA="),
        ({"DATA": "nowhere"}, "there is no folder nowhere"),
        ({"DATA": "data", "START": "2031-01-01"}, "START=2031-01-01 is out of range: with the days 2025-01-01.."),
        ({"DATA": "data", "START": "July"}, "START=July: 'July' is not a day: write YYYY-MM-DD"),
        ({"DATA": "data", "WEEKS": "0"}, "WEEKS=0: Input should be greater than or equal to 1"),
        ({"DATA": "data", "WEEKS": "40"}, "WEEKS=40 needs 294 days"),
    ],
)
def test_a_user_fixable_error_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, str], words: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        here(folder, monkeypatch, **options)
    # `SystemExit` with a text prints it on standard error and exits with 1.
    said = str(ended.value.code)
    assert said.startswith("error: ")
    assert words in said
    assert len(said.splitlines()) == 1


def test_data_without_frauds_is_rejected(tmp_path: Path) -> None:
    frame(60, 20).to_parquet(tmp_path / "payments.parquet")
    done = handbook(tmp_path, DATA=".", WEEKS="2")
    assert done.returncode == 1
    assert "error: no week can be measured: the week of 2018-05-03 is skipped" in done.stderr.splitlines()[-1]
