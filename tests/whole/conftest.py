"""One pipeline for the session: a small bank, its history through Spark and training, and a scorer."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from demo.spark_archive import CONF, jvm_options, spark_home
from tests.whole.pipeline import ROOT, SERVING_PYTHON, Pipeline, free_port, serving
from tests.whole.small_bank import FIRST_DAY, HISTORY_END, SmallBank, make_small_bank

ZONE = "America/New_York"
"""Not UTC, so that night and weekend must be local on both sides."""


@pytest.fixture(scope="session")
def small_bank() -> SmallBank:
    """The payments of the small bank."""
    return make_small_bank()


@pytest.fixture(scope="session")
def empty_pipeline(
    tmp_path_factory: pytest.TempPathFactory, postgres: Any, valkey_server: Any, secrets_dir: Path, java_home: Path
) -> Pipeline:
    """A pipeline with migrated, empty databases."""
    folder = tmp_path_factory.mktemp("pipeline")
    port = free_port()
    pipeline = Pipeline(
        folder=folder,
        api_key=(secrets_dir / "scorer_api_key").read_text().strip(),
        environment={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            # The address of the jobs' Spark application is in it.
            "TMPDIR": str(folder),
            "JAVA_HOME": str(java_home),
            "PYSPARK_PYTHON": sys.executable,
            "SPARK_HOME": str(spark_home()),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_DRIVER_MEMORY": "1g",
            "SPARK_CONF_DIR": str(CONF),
            "SPARK_SUBMIT_OPTS": jvm_options(folder, java_home),
            "TZ": "UTC",
            "LAKE_URI": str(folder / "lake"),
            "BANK_ZONE": ZONE,
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
    pipeline.run("bank.migrate")
    return pipeline


@pytest.fixture(scope="session")
def pipeline(empty_pipeline: Pipeline, small_bank: SmallBank) -> Iterator[Pipeline]:
    """The pipeline after its history: a champion is registered and the scorer uses it."""
    folder = empty_pipeline.folder
    mlflow = empty_pipeline.environment["MLFLOW_TRACKING_URI"]
    store = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/artifacts"]
    port = mlflow.rpartition(":")[2]
    server = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", port, "--workers", "1", *store]
    with serving(empty_pipeline, server, f"{mlflow}/health", folder / "mlflow.log"):
        small_bank.write(empty_pipeline.data)
        empty_pipeline.run("bank.load", "--data", str(empty_pipeline.data), "--hold-out-days", "1")
        history = empty_pipeline.daily_jobs(FIRST_DAY, HISTORY_END)
        trained = replace(empty_pipeline.train(FIRST_DAY, HISTORY_END), history=history)
        scorer = [str(SERVING_PYTHON), "-m", "serving"]
        with serving(trained, scorer, trained.environment["SCORER_URL"] + "/readyz", folder / "scorer.log"):
            yield trained
