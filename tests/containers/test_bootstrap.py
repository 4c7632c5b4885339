"""The containers' bootstrap with failures; tests/compose tests it without."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from containers import bootstrap
from containers.bootstrap import BootstrapError, Settings, champion, feed_options, open_airflow, run_until_success, seed
from demo.airflow_api import DagFailed, TaskDone
from demo.embedded_servers import ROOT, free_port
from tests.containers.conftest import Rehearsed

CONF = {"from": "2025-01-01", "to": "2025-04-30"}


class RehearsedAirflow:
    """A fake Airflow whose runs end as a test says: a real one does not fail on request."""

    def __init__(self, states: dict[str, str], ends: list[str]) -> None:
        self.states = states
        self.ends = ends
        self.started: list[str] = []
        self.followed: list[str] = []

    def runs(self, _: str) -> dict[str, str]:
        return dict(reversed(self.states.items()))

    def start(self, _: str, conf: dict[str, Any], run: str) -> str:
        assert run not in self.states
        assert conf == CONF
        self.started.append(run)
        self.states[run] = "running"
        return run

    def follow(self, dag: str, run: str, _: Any) -> Iterator[TaskDone]:
        self.followed.append(run)
        self.states[run] = self.ends.pop(0)
        if self.states[run] == "failed":
            raise DagFailed(dag, run, "validate")
        yield TaskDone("validate", "success", 1.0)

    def task_log_tail(self, _: str, run: str, task: str) -> list[str]:
        return [f"{task} of {run} found no lake"]


@pytest.mark.parametrize(
    ("states", "ends", "started", "followed"),
    [
        ({}, ["success"], ["bootstrap-1"], ["bootstrap-1"]),
        ({"by-asset": "running"}, ["success"], [], ["by-asset"]),
        ({"by-asset": "success"}, ["success"], [], ["by-asset"]),
        ({"bootstrap-1": "failed"}, ["success"], ["bootstrap-2"], ["bootstrap-2"]),
        ({"by-asset": "running"}, ["failed", "success"], ["bootstrap-2"], ["by-asset", "bootstrap-2"]),
    ],
)
def test_it_resumes_an_interrupted_bootstrap(
    states: dict[str, str], ends: list[str], started: list[str], followed: list[str]
) -> None:
    airflow = RehearsedAirflow(states, ends)
    run_until_success(airflow, "fraud_daily", CONF, lambda _: None)  # type: ignore[arg-type]
    assert (airflow.started, airflow.followed) == (started, followed)


def test_a_dag_that_keeps_failing_is_reported_with_its_task_s_log() -> None:
    airflow, said = RehearsedAirflow({}, ["failed"] * 3), list[str]()
    with pytest.raises(BootstrapError, match="fraud_daily failed 3 times"):
        run_until_success(airflow, "fraud_daily", CONF, said.append)  # type: ignore[arg-type]
    assert "validate of bootstrap-3 found no lake" in said[-1]


def test_a_registry_with_and_without_a_champion_and_a_broken_one(server: Rehearsed) -> None:
    settings = Settings(mlflow_tracking_uri=server.url)
    server.answers["*"] = (200, b'{"model_version": {"version": "7"}}')
    assert champion(settings) == "7"
    for status in (400, 404):
        server.answers["*"] = (status, b'{"message": "Registered model alias champion not found."}')
        assert champion(settings) is None
    server.answers["*"] = (500, b'{"message": "out of order"}')
    with pytest.raises(BootstrapError, match=r"MLflow at .* answers 500 \(.*out of order.*\): see the log"):
        champion(settings)


def test_an_unreachable_server_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bootstrap, "RETRY_SECONDS", 0)
    nowhere = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(BootstrapError, match=f"MLflow at {nowhere} is not responding"):
        champion(Settings(mlflow_tracking_uri=nowhere))
    (tmp_path / "airflow_password").write_text("x")
    with pytest.raises(BootstrapError, match=f"cannot connect to Airflow at {nowhere}"):
        open_airflow(Settings(airflow_url=nowhere, secrets_dir=tmp_path))


def test_a_wrong_password_is_reported_at_once(server: Rehearsed, tmp_path: Path) -> None:
    server.answers["*"] = (401, b"{}")
    (tmp_path / "airflow_password").write_text("wrong")
    with pytest.raises(BootstrapError, match=r"cannot connect to Airflow .*401"):
        open_airflow(Settings(airflow_url=server.url, secrets_dir=tmp_path))


def test_a_failed_load_of_the_bank_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(BootstrapError, match=r"bank\.load failed: .*--hold-out-days is LIVE_DAYS"):
        seed(Settings())


def test_mapped_payments_are_loaded_instead_of_a_simulation() -> None:
    assert feed_options(Settings(days=100, live_days=7))[:4] == ["--customers", "1000", "--days", "107"]
    assert feed_options(Settings(data=Path("/data/x"))) == ["--data", "/data/x"]
    assert feed_options(Settings(data=Path("/data/x"), map="/data/m")) == ["--data", "/data/x", "--map", "/data/m"]


def test_payments_without_labels_end_it_before_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "champion", lambda _: None)
    monkeypatch.setattr(bootstrap, "seed", lambda _: {"labelled": False})
    with pytest.raises(BootstrapError, match="has no fraud column, so no model can be trained"):
        bootstrap.bootstrap(Settings(map="my.toml"), lambda _: None)


def test_invalid_options_are_named() -> None:
    environment = os.environ | {"DAYS": "10", "SEED": "many", "REPLAY_RATE": "0", "LIVE_DAYS": ""}
    command = [sys.executable, "-m", "containers.bootstrap"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "DAYS=10: Input should be greater than or equal to 40; SEED=many" in done.stderr
    assert "REPLAY_RATE=0" in done.stderr
