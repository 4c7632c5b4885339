"""One installation: its folder, its ports and the environment variables of its commands."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from demo.embedded_servers import ROOT, ServerError
from demo.environment import own_environment
from demo.java import java_home
from demo.secret_files import PUBLIC_KEYS
from demo.spark_archive import CONF, jvm_options, spark_home

DEMO: Final = ROOT / "var/demo"


@dataclass(frozen=True)
class Installation:
    """The folder of one installation and the ports of its servers."""

    folder: Path
    postgres_port: int
    valkey_port: int
    mlflow_port: int
    scorer_port: int
    airflow_port: int = 0
    bank_zone: str = ""
    """Empty for what only serves or trains on the lake, which knows its zone."""

    @property
    def secrets(self) -> Path:
        """The secret files."""
        return self.folder / "secrets"

    @property
    def logs(self) -> Path:
        """The logs of commands and servers."""
        return self.folder / "logs"

    @property
    def scorer_url(self) -> str:
        """The scorer's address."""
        return f"http://127.0.0.1:{self.scorer_port}"

    @property
    def mlflow_url(self) -> str:
        """MLflow's address."""
        return f"http://127.0.0.1:{self.mlflow_port}"

    @property
    def airflow_url(self) -> str:
        """Airflow's address."""
        return f"http://127.0.0.1:{self.airflow_port}"

    @property
    def scratch(self) -> Path:
        """Temporary files."""
        return self.folder / "scratch"

    def environment(self, **others: str) -> dict[str, str]:
        """The whole environment of a command: `settings`, `others`, and what every command keeps from the shell."""
        return own_environment(self.settings() | others)

    def settings(self) -> dict[str, str]:
        """The environment variables of every command. Raises `ServerError` without Java or an environment."""
        home = _java_home()
        return {
            "PYTHONPATH": str(ROOT),
            "PATH": f"{bin_of('pipeline')}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "HOME": os.environ.get("HOME") or str(self.folder),
            "TZ": "UTC",
            "BANK_ZONE": self.bank_zone,
            "LAKE_URI": str(self.folder / "lake"),
            "SECRETS_DIR": str(self.secrets),
            "BANK_URL": f"postgresql://127.0.0.1:{self.postgres_port}/bank",
            "DECISIONS_URL": f"postgresql://127.0.0.1:{self.postgres_port}/decisions",
            "VALKEY_URL": f"valkey://127.0.0.1:{self.valkey_port}/0",
            "MLFLOW_TRACKING_URI": self.mlflow_url,
            "SCORER_URL": self.scorer_url,
            "SCORER_CHAMPION_DIR": str(self.folder / "champion"),
            "SCORER_HOST": "127.0.0.1",
            "SCORER_PORT": str(self.scorer_port),
            "TMPDIR": str(self.scratch),
            "JAVA_HOME": str(home),
            "PIPELINE_PYTHON": str(python_of("pipeline")),
            "PYSPARK_PYTHON": str(python_of("pipeline")),
            "SPARK_HOME": str(spark_home()),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(self.scratch),
            # An empty folder: all Spark settings are in this mapping.
            "SPARK_CONF_DIR": str(CONF),
            "SPARK_DRIVER_MEMORY": "1g",
            "SPARK_SUBMIT_OPTS": jvm_options(self.scratch, home),
            "OMP_NUM_THREADS": str(min(os.cpu_count() or 1, 4)),
        }

    def make_folders(self) -> None:
        """Create the folders that commands expect to exist."""
        for folder in (self.logs, self.scratch, CONF):
            folder.mkdir(parents=True, exist_ok=True)


def require_signed_models(folder: Path) -> None:
    """Raise `ServerError` for a demo of an older version, whose champion has no signature and would be rejected."""
    if not (folder / "secrets" / PUBLIC_KEYS).exists():
        raise ServerError(f"the data in {folder} is from a version that signed no models: run `make demo` again")


@cache
def _java_home() -> Path:
    """Cached: finding out Java's version takes starting it."""
    return java_home()


def bin_of(environment: str) -> Path:
    """The `bin` folder of an environment."""
    return ROOT / "var/env" / environment / "bin"


def python_of(environment: str) -> Path:
    """The interpreter of an environment. Raises `ServerError` if it is not installed."""
    python = bin_of(environment) / "python"
    if not python.exists():
        raise ServerError(f"the environment {environment} is not installed: run `make demo` or `make test`")
    return python
