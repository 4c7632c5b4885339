"""One pipeline for the session: a small bank, its history through Spark and training, and a scorer."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from demo.spark_archive import CONF, jvm_options
from tests.whole.line import ROOT, SERVING_PYTHON, Line, free_port, serving
from tests.whole.small_world import FIRST_DAY, HISTORY_END, SmallWorld, small_world


@pytest.fixture(scope="session")
def world() -> SmallWorld:
    """The payments of the small bank."""
    return small_world()


@pytest.fixture(scope="session")
def empty_line(
    tmp_path_factory: pytest.TempPathFactory, postgres: Any, valkey_server: Any, secrets_dir: Path, java_home: Path
) -> Line:
    """A pipeline with migrated, empty databases."""
    folder = tmp_path_factory.mktemp("line")
    port = free_port()
    line = Line(
        folder=folder,
        api_key=(secrets_dir / "scorer_api_key").read_text().strip(),
        environment={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            # The address of the jobs' Spark application is in it.
            "TMPDIR": str(folder),
            "JAVA_HOME": str(java_home),
            "PYSPARK_PYTHON": sys.executable,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_DRIVER_MEMORY": "1g",
            "SPARK_CONF_DIR": str(CONF),
            "SPARK_SUBMIT_OPTS": jvm_options(folder, java_home),
            "TZ": "UTC",
            "LAKE_URI": str(folder / "lake"),
            "SECRETS_DIR": str(secrets_dir),
            "BANK_URL": f"postgresql://127.0.0.1:{postgres.port}/bank",
            "DECISIONS_URL": f"postgresql://127.0.0.1:{postgres.port}/decisions",
            "VALKEY_URL": f"valkey://127.0.0.1:{valkey_server.port}/0",
            "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{free_port()}",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "SCORER_PORT": str(port),
            "SCORER_URL": f"http://127.0.0.1:{port}",
        },
    )
    line.run("bank.migrate")
    return line


@pytest.fixture(scope="session")
def line(empty_line: Line, world: SmallWorld) -> Iterator[Line]:
    """The pipeline after its history: a champion is registered and the scorer uses it."""
    folder = empty_line.folder
    mlflow = empty_line.environment["MLFLOW_TRACKING_URI"]
    store = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/artifacts"]
    port = mlflow.rpartition(":")[2]
    server = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", port, "--workers", "1", *store]
    with serving(empty_line, server, f"{mlflow}/health", folder / "mlflow.log"):
        world.write(empty_line.data)
        empty_line.run("bank.load", "--data", str(empty_line.data), "--hold-out-days", "1")
        history = empty_line.daily_jobs(FIRST_DAY, HISTORY_END)
        trained = replace(empty_line.train(FIRST_DAY, HISTORY_END), history=history)
        scorer = [str(SERVING_PYTHON), "-m", "serving"]
        with serving(trained, scorer, trained.environment["SCORER_URL"] + "/readyz", folder / "scorer.log"):
            yield trained
