"""The servers of the line that speak HTTP: MLflow, Airflow's three, and the scorer."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import httpx

from demo.embedded_servers import ROOT, Server, ServerError, launch_process, tail
from demo.installation import Place, bin_of, python_of
from demo.secret_files import read_secret

MLFLOW_ENV = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


def answers(url: str) -> bool:
    """Whether an address answers 200."""
    try:
        return httpx.get(url, timeout=2).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def start_mlflow(place: Place) -> Server:
    """Start MLflow's server on SQLite and a folder; it answers some seconds later at `/health`."""
    store = place.folder / "mlflow"
    store.mkdir(parents=True, exist_ok=True)
    command = [
        str(python_of("pipeline")),
        "-m",
        "mlflow",
        "server",
        "--host",
        "127.0.0.1",
        "--port",
        str(place.mlflow_port),
    ]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{store}/mlflow.db"]
    command += ["--artifacts-destination", str(store / "artifacts")]
    environment = os.environ | place.settings() | MLFLOW_ENV
    return launch_process("MLflow", command, place.logs / "mlflow.log", environment, place.mlflow_port)


def start_scorer(place: Place) -> Server:
    """Start the scorer; `/readyz` answers 200 once it can score."""
    command = [str(python_of("serving")), "-m", "serving"]
    environment = os.environ | place.settings()
    return launch_process("scorer", command, place.logs / "scorer.log", environment, place.scorer_port)


def airflow_environment(place: Place) -> dict[str, str]:
    """Airflow's settings: the real scheduler on SQLite, on the loopback interface, with a user and a password."""
    home = place.folder / "airflow"
    core = {
        "DAGS_FOLDER": str(ROOT / "dags"),
        "LOAD_EXAMPLES": "False",
        "EXECUTOR": "LocalExecutor",
        # Two cores: one Spark job and one light task at a time.
        "PARALLELISM": "2",
        "DAGS_ARE_PAUSED_AT_CREATION": "False",
        "EXECUTION_API_SERVER_URL": f"{place.airflow_url}/execution/",
        "SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
    }
    others = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__API__BASE_URL": place.airflow_url,
        "AIRFLOW__API__SECRET_KEY": read_secret(place.secrets, "airflow_jwt_secret"),
        "AIRFLOW__API_AUTH__JWT_SECRET": read_secret(place.secrets, "airflow_jwt_secret"),
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        # The DAGs do not change while the demo runs: reading them over and over takes a core from Spark.
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
        # A task that ends by skipping is noticed at its next heartbeat.
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW_CONN_SPARK_DEFAULT": json.dumps({"conn_type": "spark", "host": "local[2]"}),
    }
    return os.environ | place.settings() | {f"AIRFLOW__CORE__{name}": value for name, value in core.items()} | others


def start_airflow(place: Place) -> list[Server]:
    """Make Airflow's database and start its api-server, scheduler and dag-processor."""
    home = place.folder / "airflow"
    home.mkdir(parents=True, exist_ok=True)
    passwords = home / "passwords.json"
    passwords.touch(mode=0o600)
    passwords.write_text(json.dumps({"admin": read_secret(place.secrets, "airflow_password")}))
    environment = airflow_environment(place)
    airflow = str(bin_of("airflow") / "airflow")
    log = place.logs / "airflow-migrate.log"
    with log.open("ab") as out:
        done = subprocess.run(
            [airflow, "db", "migrate"], env=environment, cwd=ROOT, stdout=out, stderr=out, check=False
        )
    if done.returncode != 0:
        raise ServerError(f"Airflow's database could not be made; {log} ends:\n{tail(log)}")
    servers = {
        "api-server": ["--host", "127.0.0.1", "--port", str(place.airflow_port), "--workers", "1"],
        "scheduler": ["--skip-serve-logs"],
        "dag-processor": [],
    }
    return [
        launch_process(
            f"Airflow {name}",
            [airflow, name, *options],
            place.logs / f"airflow-{name}.log",
            environment,
            place.airflow_port,
        )
        for name, options in servers.items()
    ]


def log_of_task(place: Place, dag: str, run: str, task: str) -> Path:
    """The newest log of one task of a run."""
    folder = place.folder / f"airflow/logs/dag_id={dag}/run_id={run}/task_id={task}"
    return max(folder.glob("attempt=*.log"), default=folder, key=lambda path: path.name)


def said_in_task(log: Path, lines: int = 15) -> str:
    """What a task said last; Airflow keeps it as a JSON object a line."""
    return "\n".join(_event(line) for line in tail(log, lines).splitlines())


def _event(line: str) -> str:
    try:
        event: str = json.loads(line)["event"]
    except (ValueError, KeyError, TypeError):
        return line
    return event
