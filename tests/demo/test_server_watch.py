"""A server that ends during the demo ends the demo, which names the server."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from demo import run
from demo.embedded_servers import Server, launch_process
from demo.installation import Installation
from demo.options import Options
from demo.processes import MemoryWatch
from demo.server_watch import LOOK_SECONDS, ServerWatch
from demo.step_runner import StepFailed, Steps

AIRFLOW = ("Airflow api-server", "Airflow scheduler", "Airflow dag-processor")
Launch = Callable[[str], Server]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Starts a named server with a log that does nothing for a minute."""
    with ExitStack() as stack:

        def one(name: str) -> Server:
            log = tmp_path / f"{name}.log"
            server = launch_process(name, ["sh", "-c", f"echo {name} says; exec sleep 60"], log, dict(os.environ), 0)
            stack.callback(server.stop)
            return server

        yield one


def kill_soon(server: Server, seconds: float = 0.5) -> None:
    threading.Timer(seconds, server.process.kill).start()


def watched(servers: list[Server], work: Callable[[], Any]) -> None:
    with ServerWatch() as watch:
        watch.add(*servers)
        work()


@pytest.mark.parametrize(
    "wait",
    [
        lambda: time.sleep(30),
        lambda: subprocess.run([sys.executable, "-c", "import time; time.sleep(30)"], check=False),
        lambda: Future[None]().result(30),
    ],
    ids=["sleep", "command", "future"],
)
def test_any_wait_of_the_demo_is_interrupted(launch: Launch, wait: Callable[[], Any]) -> None:
    began = time.monotonic()
    servers = [launch("the store"), launch("the scheduler")]
    kill_soon(servers[1])
    with pytest.raises(StepFailed, match=r"the scheduler \(ended by signal 9\) failed") as caught:
        watched(servers, wait)
    assert time.monotonic() - began < 20
    assert caught.value.log == servers[1].log
    assert "the scheduler says" in caught.value.last_lines


def test_an_error_after_a_server_s_end_is_reported_as_that_end(launch: Launch) -> None:
    store = launch("the store")

    def fail() -> None:
        store.process.kill()
        store.process.wait()
        raise ConnectionError("refused")

    with pytest.raises(StepFailed, match=r"the store \(ended") as caught:
        watched([store], fail)
    assert isinstance(caught.value.__cause__, ConnectionError)


def test_servers_may_end_when_the_watch_is_over(launch: Launch) -> None:
    store = launch("the store")
    watched([store], lambda: None)
    store.stop()
    time.sleep(2 * LOOK_SECONDS)


@pytest.mark.parametrize("victim", ["PostgreSQL", "Valkey", "MLflow", *AIRFLOW])
def test_every_server_of_the_pipeline_is_watched(
    launch: Launch, victim: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The real pipeline, with idle servers and a DAG that never ends."""
    started: dict[str, Server] = {}

    def start(name: str) -> Server:
        started[name] = launch(name)
        return started[name]

    def follow(*_: Any) -> None:
        kill_soon(started[victim])
        time.sleep(30)

    installation = Installation(tmp_path, postgres_port=1, valkey_port=2, mlflow_port=3, scorer_port=4)
    installation.make_folders()
    monkeypatch.setattr(run, "create_installation", lambda _: installation)
    monkeypatch.setattr(run, "read_secret", lambda *_: "")
    monkeypatch.setattr(run, "start_postgres", lambda *_: start("PostgreSQL"))
    monkeypatch.setattr(run, "start_valkey", lambda *_: start("Valkey"))
    monkeypatch.setattr(run, "start_mlflow", lambda _: start("MLflow"))
    monkeypatch.setattr(run, "start_airflow", lambda _: [start(name) for name in AIRFLOW])
    monkeypatch.setattr(run, "wait_until", lambda *_: None)
    monkeypatch.setattr(run, "Airflow", FakeAirflow)
    monkeypatch.setattr(run, "run_dag", follow)
    days = {"first_day": "2025-01-01", "last_day": "2025-01-02", "held_out": ["2025-01-03"]}
    monkeypatch.setattr(Steps, "command", lambda *_, **__: days)
    steps, memory = Steps(Console(quiet=True)), MemoryWatch()
    with pytest.raises(StepFailed, match=rf"{victim} \(ended by signal 9\)"), ExitStack() as stack:
        run.run_pipeline(Options(), steps, memory, stack)


class FakeAirflow:
    """Knows every DAG at once."""

    def __init__(self, *_: str) -> None: ...

    def wait_for_dag(self, dag: str) -> None: ...

    def close(self) -> None: ...
