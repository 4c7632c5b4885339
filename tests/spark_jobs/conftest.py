"""A real Spark session, a separate bank, and lakes in temporary folders."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import valkey
from pyspark.sql import SparkSession

from demo.spark_archive import CONF, jvm_options, spark_home
from spark_jobs.session import start_session
from spark_jobs.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def spark_environment(java_home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Spark's environment variables, with those that halve a JVM's startup."""
    CONF.mkdir(parents=True, exist_ok=True)
    return {
        "JAVA_HOME": str(java_home),
        "SPARK_CONF_DIR": str(CONF),
        "SPARK_SUBMIT_OPTS": jvm_options(tmp_path_factory.mktemp("scratch"), java_home),
        "PYTHONPATH": str(ROOT),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_HOME": str(spark_home()),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "TZ": "UTC",
    }


@pytest.fixture(scope="session")
def spark(spark_environment: dict[str, str]) -> Iterator[SparkSession]:
    """A session on two cores, with the jobs' own options."""
    os.environ.update(spark_environment)
    os.environ["PYSPARK_SUBMIT_ARGS"] = "--master local[2] pyspark-shell"
    session = start_session("tests")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def servers(postgres: Any, valkey_server: Any, secrets_dir: Path) -> dict[str, str]:
    """The addresses of the session's servers as environment variables, with separate databases."""
    environment = {
        "BANK_URL": f"postgresql://127.0.0.1:{postgres.port}/spark_jobs_bank",
        "DECISIONS_URL": f"postgresql://127.0.0.1:{postgres.port}/spark_jobs_decisions",
        "VALKEY_URL": f"valkey://127.0.0.1:{valkey_server.port}/5",
        "SECRETS_DIR": str(secrets_dir),
    }
    subprocess.run(
        [sys.executable, "-m", "bank.migrate"],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        check=True,
        capture_output=True,
    )
    return environment


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with an empty lake, and addresses without servers."""
    return Settings(lake_uri=str(tmp_path / "lake"), secrets_dir=tmp_path)


@pytest.fixture
def live_settings(tmp_path: Path, servers: dict[str, str]) -> Settings:
    """Settings with an empty lake and the real servers."""
    fields: dict[str, Any] = {name.lower(): value for name, value in servers.items()}
    return Settings(lake_uri=str(tmp_path / "lake"), **fields)


@pytest.fixture
def bank(servers: dict[str, str], postgres: Any) -> Iterator[psycopg.Connection]:
    """The empty bank, as its superuser."""
    with psycopg.connect(
        servers["BANK_URL"], user="postgres", password=postgres.password, autocommit=True
    ) as connection:
        tables = "bank.transactions, bank.fraud_reports, bank.unknown_labels, bank.sources"
        connection.execute(f"truncate {tables} restart identity")
        yield connection


@pytest.fixture
def state(servers: dict[str, str], valkey_server: Any) -> Iterator[Any]:
    """The empty online state."""
    client: Any = valkey.Valkey.from_url(servers["VALKEY_URL"], password=valkey_server.password)
    client.flushdb()
    yield client
    client.close()


@pytest.fixture(scope="session")
def submit(spark_environment: dict[str, str]) -> Callable[..., subprocess.Popen[str]]:
    """Starts a job with spark-submit in a new process session: `submit(job, lake, *options, **environment)`."""

    def start(job: str, lake: Path, *options: str, **environment: str) -> subprocess.Popen[str]:
        command = [str(Path(sys.executable).with_name("spark-submit")), "--master", "local[2]"]
        return subprocess.Popen(
            [*command, f"spark_jobs/{job}.py", *options],
            cwd=ROOT,
            env={**os.environ, **spark_environment, "LAKE_URI": str(lake), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return start
