"""Train, evaluate and promote, against a real MLflow server."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.bundle import METADATA, TREES, BundleError, read_bundle, verify
from modeling.errors import ModelingError
from modeling.evaluate import evaluate
from modeling.promote import promote
from modeling.registry import champion_version, connect, download_model
from modeling.settings import Settings
from modeling.train import train
from tests.modeling.lakes import DAYS, write_lake


@pytest.fixture(scope="module")
def mlflow_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        f"{folder}/artifacts",
    ]
    with pytest.MonkeyPatch.context() as patch, (folder / "log").open("wb") as log:
        patch.setenv("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
        server = subprocess.Popen(command, stdout=log, stderr=log)
    uri = f"http://127.0.0.1:{port}"
    try:
        _wait(f"{uri}/health", server)
        yield uri
    finally:
        server.terminate()
        server.wait(timeout=20)


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert server.poll() is None
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"{url} did not answer")


def settings_for(mlflow_uri: str, lake: Path, name: str) -> Settings:
    return Settings(lake_uri=str(lake), mlflow_tracking_uri=mlflow_uri, model_name=name)


def test_a_model_is_trained_judged_and_promoted_with_all_that_the_scorer_needs(mlflow_uri: str, tmp_path: Path) -> None:
    write_lake(tmp_path / "lake")
    settings = settings_for(mlflow_uri, tmp_path / "lake", "whole")
    run_id = train(DAYS, settings)
    evaluated = evaluate(run_id, settings)
    promoted = promote(run_id, settings)
    assert (evaluated["model_version"], promoted["model_version"], promoted["promoted"]) == ("1", "1", True)
    assert evaluated["test_average_precision"] > 0.5
    client = connect(settings)
    artifacts = {artifact.path for artifact in client.list_artifacts(run_id)}
    assert {"precision_recall.png", "cost.png", "candidate.json"} <= artifacts
    tags = client.get_run(run_id).data.tags
    assert len(tags["data_fingerprint"]) == 64
    champion = champion_version(client, settings)
    assert champion is not None
    root = download_model(champion.source.removeprefix("models:/"), tmp_path / "bundle")
    verify(root, [TREES, METADATA, "model.skops"])
    bundle = read_bundle(root)
    assert bundle.metrics["test_average_precision"] == evaluated["test_average_precision"]
    assert bundle.data_fingerprint == tags["data_fingerprint"]
    assert not list(root.rglob("*.pkl"))
    (root / TREES).write_bytes((root / TREES).read_bytes()[:-1])
    with pytest.raises(BundleError, match="damaged"):
        verify(root, [TREES])
    assert promote(run_id, settings)["reason"] == "it is the champion already"


def test_the_gate_keeps_the_better_champion(mlflow_uri: str, tmp_path: Path) -> None:
    """The challenger learns from frauds of chance, and is judged where frauds are what the champion learnt."""
    write_lake(tmp_path / "good")
    write_lake(tmp_path / "noise", signal=0.0)
    good, noise = (settings_for(mlflow_uri, tmp_path / lake, "gate") for lake in ("good", "noise"))
    first = train(DAYS, good)
    evaluate(first, good)
    assert promote(first, good)["promoted"]
    same = train(DAYS, good)
    evaluate(same, good)
    assert "equals the present champion" in promote(same, good)["reason"]
    try:
        worse = train(DAYS, noise)
    except ModelingError as error:
        assert "do not mean more frauds" in str(error)  # noqa: PT017 - it may be refused even before the gate
        return
    evaluate(worse, noise)
    verdict = promote(worse, good)
    assert not verdict["promoted"]
    assert verdict["reason"].startswith("worse")
    champion = champion_version(connect(good), good)
    assert champion is not None
    assert champion.version == "1"


def test_what_is_not_there_is_said(mlflow_uri: str, tmp_path: Path) -> None:
    settings = settings_for(mlflow_uri, tmp_path, "nothing")
    with pytest.raises(ModelingError, match="no run 'nowhere'"):
        evaluate("nowhere", settings)


def test_a_registry_that_does_not_answer_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ModelingError, match=r"MLflow at http://127.0.0.1:9 does not answer \(MLFLOW_TRACKING_URI\)"):
        connect(settings_for("http://127.0.0.1:9", tmp_path, "none"))
