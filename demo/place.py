"""Where one installation's state lies, and the settings by which every command finds it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from demo.java import java_home
from demo.servers import ROOT, ServerError

DEMO: Final = ROOT / "var/demo"
SPARK_DEFAULTS: Final = """# For one machine with little memory: start fast, stay small.
spark.driver.memory 768m
spark.ui.enabled false
spark.sql.shuffle.partitions 4
"""


@dataclass(frozen=True)
class Place:
    """The folder of one installation and the ports of its servers."""

    folder: Path
    postgres_port: int
    valkey_port: int
    mlflow_port: int
    scorer_port: int
    airflow_port: int = 0

    @property
    def secrets(self) -> Path:
        """The secret files."""
        return self.folder / "secrets"

    @property
    def logs(self) -> Path:
        """Every command's and server's output."""
        return self.folder / "logs"

    @property
    def scorer_url(self) -> str:
        """Where the scorer answers."""
        return f"http://127.0.0.1:{self.scorer_port}"

    @property
    def mlflow_url(self) -> str:
        """Where MLflow answers."""
        return f"http://127.0.0.1:{self.mlflow_port}"

    @property
    def airflow_url(self) -> str:
        """Where Airflow answers."""
        return f"http://127.0.0.1:{self.airflow_port}"

    def settings(self) -> dict[str, str]:
        """The environment of every command of the line."""
        spark = self.folder / "spark"
        return {
            "PYTHONPATH": str(ROOT),
            "PATH": f"{bin_of('pipeline')}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "HOME": os.environ.get("HOME") or str(self.folder),
            "TZ": "UTC",
            "LAKE_URI": str(self.folder / "lake"),
            "SECRETS_DIR": str(self.secrets),
            "BANK_URL": f"postgresql://127.0.0.1:{self.postgres_port}/bank",
            "DECISIONS_URL": f"postgresql://127.0.0.1:{self.postgres_port}/decisions",
            "VALKEY_URL": f"valkey://127.0.0.1:{self.valkey_port}/0",
            "MLFLOW_TRACKING_URI": self.mlflow_url,
            "SCORER_URL": self.scorer_url,
            "SCORER_HOST": "127.0.0.1",
            "SCORER_PORT": str(self.scorer_port),
            "JAVA_HOME": str(java_home()),
            "PIPELINE_PYTHON": str(python_of("pipeline")),
            "PYSPARK_PYTHON": str(python_of("pipeline")),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(spark / "scratch"),
            "SPARK_CONF_DIR": str(spark / "conf"),
            # The jobs are short: a quick compiler and a collector without threads start sooner and hold less.
            "SPARK_SUBMIT_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
            "OMP_NUM_THREADS": str(min(os.cpu_count() or 1, 4)),
        }

    def write_spark_conf(self) -> None:
        """Spark's own settings for this machine."""
        conf = self.folder / "spark/conf"
        conf.mkdir(parents=True, exist_ok=True)
        (conf / "spark-defaults.conf").write_text(SPARK_DEFAULTS)
        quiet = ROOT / "spark_jobs/conf/log4j2.properties"
        if quiet.exists():
            shutil.copy(quiet, conf)


def bin_of(environment: str) -> Path:
    """The programs of one environment."""
    return ROOT / "var/env" / environment / "bin"


def python_of(environment: str) -> Path:
    """The interpreter of one environment. Raises `ServerError` where it is not installed."""
    python = bin_of(environment) / "python"
    if not python.exists():
        raise ServerError(f"the environment {environment} is not installed: run it by `make demo`")
    return python
