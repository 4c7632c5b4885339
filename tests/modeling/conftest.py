"""One MLflow server for the session, and a lake for training."""

from __future__ import annotations

import os
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo.embedded_servers import free_port, launch_process, wait_ready
from modeling.settings import Settings
from tests.modeling.lakes import write_lake

# As in `modeling.runner`, before any test imports scikit-learn.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

SettingsFor = Callable[..., Settings]


@pytest.fixture(scope="session")
def mlflow_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlflow")
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    quick = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    server = launch_process("MLflow", command, folder / "log", dict(os.environ) | quick, port)
    uri = f"http://127.0.0.1:{port}"
    wait_ready(server, lambda: _answers(f"{uri}/health"), seconds=120)
    yield uri
    server.stop()


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lake")
    write_lake(folder)
    return folder


@pytest.fixture
def settings_for(mlflow_uri: str, lake: Path, secrets_dir: Path, request: pytest.FixtureRequest) -> SettingsFor:
    """Settings with a separate registered model."""

    def make(lake_uri: Path = lake, **others: object) -> Settings:
        mine = {"mlflow_tracking_uri": mlflow_uri, "model_name": request.node.name, "secrets_dir": secrets_dir} | others
        return Settings.model_validate({"lake_uri": str(lake_uri)} | mine)

    return make


@pytest.fixture
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train with fewer trees than the training configuration."""
    from modeling.models.estimators import CANDIDATE

    monkeypatch.setitem(CANDIDATE, "max_iter", 60)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except OSError:
        return False
