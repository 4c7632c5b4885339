"""Train, evaluate and promote, against a real MLflow server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts.bundle import (
    CARD_HTML,
    CARD_MARKDOWN,
    MANIFEST,
    METADATA,
    TREES,
    BundleError,
    probability,
    read_bundle,
    verify,
    write_manifest,
)
from contracts.days import DayRange
from contracts.features import FEATURES, FEATURES_VERSION
from modeling.data.dataset import read_test
from modeling.data.split import split_days
from modeling.errors import ModelingError
from modeling.evaluate import evaluate, load_skops
from modeling.models.treelite_export import margins, read_trees
from modeling.promote import promote
from modeling.settings import Settings
from modeling.tracking import mlflow_client as edges
from modeling.tracking.mlflow_client import MODEL_FILE, download_model, registry, upload_bundle
from modeling.train import train
from tests.modeling.conftest import SettingsFor
from tests.modeling.lakes import DAYS, START, write_lake

FILES = [TREES, METADATA, CARD_MARKDOWN, CARD_HTML, MODEL_FILE]
# No test here depends on how well the model learns.
pytestmark = pytest.mark.usefixtures("few_trees")
PICTURES = ["precision_recall", "calibration", "cost"]


def trained(settings: Settings, days: DayRange = DAYS) -> str:
    """A trained and evaluated run."""
    run_id = train(days, settings)
    evaluate(run_id, settings)
    return run_id


def champion(settings: Settings) -> str | None:
    with registry(settings) as client:
        version = edges.champion_version(client, settings)
    return version and str(version.version)


def version_tags(settings: Settings, number: str) -> dict[str, str]:
    with registry(settings) as client:
        tags: dict[str, str] = client.get_model_version(settings.model_name, number).tags
    return tags


def spoil(settings: Settings, run_id: str, folder: Path, change: Callable[[Path], None]) -> None:
    """Change the stored bundle of a run's model."""
    with registry(settings) as client:
        model_id = edges.read_run(client, run_id).model_id
        root = download_model(model_id, folder)
        change(root)
        upload_bundle(client, model_id, root)


def damage_trees(root: Path) -> None:
    content = bytearray((root / TREES).read_bytes())
    content[len(content) // 2] ^= 1
    (root / TREES).write_bytes(content)


def make_older(root: Path) -> None:
    """Make a run's model look like one trained with an earlier feature version."""
    bundle = json.loads((root / METADATA).read_text()) | {"features_version": "0"}
    (root / METADATA).write_text(json.dumps(bundle))
    write_manifest(root, FILES)


def test_a_model_is_trained_evaluated_and_promoted_with_all_that_the_scorer_needs(
    settings_for: SettingsFor, tmp_path: Path, lake: Path
) -> None:
    settings = settings_for()
    run_id = train(DAYS, settings)
    evaluated = evaluate(run_id, settings)
    promoted = promote(run_id, settings)
    assert (evaluated["model_version"], promoted["model_version"], promoted["promoted"]) == ("1", "1", True)
    assert evaluated["test_average_precision"] > 0.5
    assert evaluated["test_cost_per_1000"] < evaluated["test_cost_per_1000_approving_all"]
    with registry(settings) as client:
        version = edges.champion_version(client, settings)
        assert version is not None
        root = download_model(version.source.removeprefix("models:/"), tmp_path)
    verify(root, FILES)
    bundle = read_bundle(root)
    named = {
        f"test_{name}" for name in ("average_precision", "roc_auc", "card_precision_100", "cost_per_1000", "brier")
    }
    assert named | {"baseline_average_precision"} <= set(bundle.metrics)
    assert bundle.metrics.items() <= evaluated.items()
    split = split_days(DAYS)
    assert (bundle.training_window.first, bundle.training_window.last) == (
        str(split.training.first),
        str(split.training.last),
    )
    # The three forms of the model agree, and none of them is a pickle.
    features = read_test(lake, split).features
    scikit_learn = probability(load_skops(root).decision_function(features), bundle.calibration)
    assert np.abs(probability(margins(read_trees(root), features), bundle.calibration) - scikit_learn).max() < 1e-9
    assert not list(root.rglob("*.pkl"))


def test_the_run_records_what_was_done(settings_for: SettingsFor, tmp_path: Path) -> None:
    settings = settings_for(review_cost=7.0)
    run_id = trained(settings)
    split = split_days(DAYS)
    with registry(settings) as client:
        run = client.get_run(run_id)
        artifacts = {artifact.path for artifact in client.list_artifacts(run_id)}
        model_id = edges.read_run(client, run_id).model_id
        signature = client.get_logged_model(model_id)
        pictures = [Path(client.download_artifacts(run_id, f"{name}.png", str(tmp_path))) for name in PICTURES]
        cards = [Path(client.download_artifacts(run_id, name, str(tmp_path))) for name in ("card.md", "card.html")]
        kept = [tmp_path / "model" / name for name in (CARD_MARKDOWN, CARD_HTML)]
        inputs = (download_model(model_id, tmp_path / "model") / "MLmodel").read_text()
    assert signature is not None
    assert all(name in inputs for name in FEATURES)
    assert {"precision_recall.png", "calibration.png", "cost.png", "candidate.json", "card.html"} <= artifacts
    assert [card.read_bytes() for card in cards] == [card.read_bytes() for card in kept]
    assert f"# Model card: {settings.model_name}" in cards[0].read_text().replace("\\", "")
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)
    assert run.data.params["cost.review"] == "7.0"
    assert run.data.params["reviews_per_1000"] == "10.0"
    assert run.data.params["features_version"] == FEATURES_VERSION
    assert run.data.tags["window.test"] == str(split.test)
    assert len(run.data.tags["data_fingerprint"]) == 64
    assert {"test_average_precision", "baseline_roc_auc", "training_frauds", "test_roc_auc_low"} <= set(
        run.data.metrics
    )
    assert version_tags(settings, "1")["data_fingerprint"] == run.data.tags["data_fingerprint"]


def test_repeating_the_commands_changes_nothing(settings_for: SettingsFor) -> None:
    settings = settings_for()
    run_id = train(DAYS, settings)
    assert evaluate(run_id, settings) == evaluate(run_id, settings)
    assert promote(run_id, settings)["promoted"]
    assert promote(run_id, settings) == {
        "model_version": "1",
        "promoted": False,
        "reason": "it is already the champion",
    }
    assert version_tags(settings, "1")["gate"] == "promoted"


def test_the_same_data_and_parameters_make_no_new_champion_other_parameters_are_evaluated(
    settings_for: SettingsFor,
) -> None:
    settings = settings_for()
    assert promote(trained(settings), settings)["promoted"]
    again = promote(trained(settings), settings)
    assert (again["model_version"], again["promoted"]) == ("2", False)
    assert "the same data and parameters as the champion, version 1" in again["reason"]
    other = promote(trained(settings_for(review_cost=6.0)), settings)
    assert "average precision" in other["reason"]


def test_the_gate_keeps_the_better_champion(settings_for: SettingsFor, tmp_path: Path) -> None:
    """The challenger is trained on data without bad terminals, and evaluated on data with them."""
    write_lake(tmp_path, seed=1, harm_of_terminals=0.0)
    settings = settings_for()
    assert promote(trained(settings), settings)["promoted"]
    result = promote(trained(settings_for(tmp_path)), settings)
    assert (result["model_version"], result["promoted"]) == ("2", False)
    assert result["reason"].startswith("average precision is worse")
    assert champion(settings) == "1"
    tags = version_tags(settings, "2")
    assert (tags["gate"], tags["gate.reason"]) == ("kept out", result["reason"])


def test_a_better_challenger_replaces_the_champion(settings_for: SettingsFor, tmp_path: Path) -> None:
    write_lake(tmp_path, seed=1, harm_of_terminals=0.0)
    settings = settings_for()
    assert promote(trained(settings_for(tmp_path)), settings_for(tmp_path))["promoted"]
    result = promote(trained(settings), settings)
    assert result["promoted"]
    assert result["reason"].startswith("at least as good")
    assert champion(settings) == "2"


def test_a_challenger_with_a_damaged_bundle_is_rejected(settings_for: SettingsFor, tmp_path: Path) -> None:
    settings = settings_for()
    run_id = trained(settings)
    spoil(settings, run_id, tmp_path / "spoilt", damage_trees)
    result = promote(run_id, settings)
    assert not result["promoted"]
    assert f"{TREES} is damaged" in result["reason"]
    assert champion(settings) is None


@pytest.mark.parametrize(("change", "why"), [(damage_trees, "damaged"), (make_older, "features version 0")])
def test_a_champion_that_can_no_longer_be_used_is_replaced(
    settings_for: SettingsFor, tmp_path: Path, change: Callable[[Path], None], why: str
) -> None:
    settings = settings_for(model_name=f"replaced_{why[:7]}")
    first = trained(settings)
    assert promote(first, settings)["promoted"]
    spoil(settings, first, tmp_path / "spoilt", change)
    result = promote(trained(settings), settings)
    assert result["promoted"]
    assert why in result["reason"]
    assert champion(settings) == "2"


def test_a_champion_is_not_evaluated_on_its_training_days(settings_for: SettingsFor, tmp_path: Path) -> None:
    whole = DayRange(START, START + timedelta(days=59))
    write_lake(tmp_path, whole)
    settings = settings_for(tmp_path)
    assert promote(trained(settings, whole), settings)["promoted"]
    result = promote(trained(settings, DayRange(START, START + timedelta(days=29))), settings)
    assert not result["promoted"]
    assert "was trained on days in the test window" in result["reason"]


@pytest.mark.parametrize("file", FILES)
def test_one_changed_bit_of_any_file_is_noticed(bundle_root: Path, file: str) -> None:
    content = bytearray((bundle_root / file).read_bytes())
    content[-1] ^= 1
    (bundle_root / file).write_bytes(content)
    with pytest.raises(BundleError, match=f"{file} is damaged"):
        verify(bundle_root, FILES)


@pytest.fixture
def bundle_root(settings_for: SettingsFor, tmp_path: Path) -> Path:
    settings = settings_for(model_name="bundle_root")
    with registry(settings) as client:
        found = client.search_model_versions("name='bundle_root'")
        run_id = found[0].tags["run_id"] if found else trained(settings)
        root = download_model(edges.read_run(client, run_id).model_id, tmp_path)
    assert set(json.loads((root / MANIFEST).read_text())["files"]) == set(FILES)
    return root


def test_commands_in_the_wrong_order_are_reported(settings_for: SettingsFor, tmp_path: Path) -> None:
    settings = settings_for()
    with pytest.raises(ModelingError, match="no run 'nowhere' in MLflow"):
        evaluate("nowhere", settings)
    run_id = train(DAYS, settings)
    with pytest.raises(ModelingError, match=f"no registered version: run modeling.evaluate --run-id {run_id}"):
        promote(run_id, settings)
    write_lake(tmp_path, seed=1)
    with pytest.raises(ModelingError, match=f"changed since run {run_id} was trained: train again"):
        evaluate(run_id, settings_for(tmp_path))
    with registry(settings) as client:
        half = client.create_run(client.get_experiment_by_name(edges.EXPERIMENT).experiment_id).info.run_id
    with pytest.raises(ModelingError, match="its training did not finish"):
        evaluate(half, settings)


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        # MLflow sets this variable in the process of the tests.
        env={name: value for name, value in os.environ.items() if name != "MLFLOW_REGISTRY_URI"}
        | {"PYTHONPATH": os.pathsep.join(sys.path)}
        | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_commands_end_with_one_line_of_json(settings_for: SettingsFor, lake: Path) -> None:
    settings = settings_for()
    environment = {
        "LAKE_URI": lake.as_uri(),
        "MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri,
        "MODEL_NAME": settings.model_name,
        "SECRETS_DIR": str(settings.secrets_dir),
    }
    said: dict[str, Any] = {}
    options = ["--from", str(DAYS.first), "--to", str(DAYS.last)]
    for verb in ("train", "evaluate", "promote"):
        done = command(f"modeling.{verb}", *options, **environment)
        assert done.returncode == 0, done.stderr
        said[verb] = json.loads(done.stdout.splitlines()[-1])
        options = ["--run-id", said["train"]["run_id"]]
    assert said["evaluate"]["model_version"] == said["promote"]["model_version"] == "1"
    assert said["promote"]["promoted"] is True


def test_a_registry_that_does_not_answer_is_one_line(lake: Path) -> None:
    refused = {
        "LAKE_URI": str(lake),
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    }
    done = command("modeling.train", "--from", str(DAYS.first), "--to", str(DAYS.last), **refused)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the request to MLflow at http://127.0.0.1:9 (MLFLOW_TRACKING_URI) failed")
    assert len(done.stderr.splitlines()) == 1


def test_reversed_days_are_invalid_options() -> None:
    done = command("modeling.train", "--from", "2025-02-01", "--to", str(date(2025, 1, 1)))
    assert done.returncode == 2
    assert "swap them" in done.stderr
