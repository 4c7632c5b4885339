"""Start the HTTP servers: MLflow, Airflow's three processes and the scorer."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import httpx

from demo.embedded_servers import ROOT, Server, ServerError, launch_process, tail
from demo.installation import Installation, python_of
from demo.secret_files import read_secret

MLFLOW_ENV = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


def answers(url: str) -> bool:
    """Whether `url` answers 200."""
    try:
        return httpx.get(url, timeout=2, trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def start_mlflow(installation: Installation) -> Server:
    """Start MLflow's server on SQLite and a folder; `/health` answers some seconds later."""
    store = installation.folder / "mlflow"
    store.mkdir(parents=True, exist_ok=True)
    command = [
        str(python_of("pipeline")),
        "-m",
        "mlflow",
        "server",
        "--host",
        "127.0.0.1",
        "--port",
        str(installation.mlflow_port),
    ]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{store}/mlflow.db"]
    command += ["--artifacts-destination", str(store / "artifacts")]
    environment = installation.environment(**MLFLOW_ENV)
    return launch_process("MLflow", command, installation.logs / "mlflow.log", environment, installation.mlflow_port)


def start_scorer(installation: Installation) -> Server:
    """Start the scorer; `/readyz` answers 200 once it can score."""
    command = [str(python_of("serving")), "-m", "serving"]
    environment = installation.environment()
    return launch_process("scorer", command, installation.logs / "scorer.log", environment, installation.scorer_port)


def airflow_environment(installation: Installation) -> dict[str, str]:
    """Airflow's settings: scheduler with LocalExecutor on SQLite, loopback interface, user and password."""
    home = installation.folder / "airflow"
    core = {
        "DAGS_FOLDER": str(ROOT / "dags"),
        "LOAD_EXAMPLES": "False",
        "EXECUTOR": "LocalExecutor",
        # Two cores: one Spark job and one light task at a time.
        "PARALLELISM": "2",
        "DAGS_ARE_PAUSED_AT_CREATION": "False",
        "EXECUTION_API_SERVER_URL": f"{installation.airflow_url}/execution/",
        "SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
    }
    others = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__API__BASE_URL": installation.airflow_url,
        "AIRFLOW__API__SECRET_KEY": read_secret(installation.secrets, "airflow_jwt_secret"),
        "AIRFLOW__API_AUTH__JWT_SECRET": read_secret(installation.secrets, "airflow_jwt_secret"),
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        # The DAGs do not change while the demo runs: parsing them again and again takes a core from Spark.
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
        # A skipped task is noticed at its next heartbeat.
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        # The live day runs in the application of the history, which waits through training: a cold one takes 13 s more.
        "SPARK_IDLE_SECONDS": "900",
        "AIRFLOW_CONN_SPARK_DEFAULT": json.dumps({"conn_type": "spark", "host": "local[2]"}),
    }
    return installation.environment(**{f"AIRFLOW__CORE__{name}": value for name, value in core.items()}, **others)


def start_airflow(installation: Installation) -> list[Server]:
    """Migrate Airflow's database, then start its api-server, scheduler and dag-processor. Raises `ServerError`."""
    home = installation.folder / "airflow"
    home.mkdir(parents=True, exist_ok=True)
    passwords = home / "passwords.json"
    passwords.touch(mode=0o600)
    passwords.write_text(json.dumps({"admin": read_secret(installation.secrets, "airflow_password")}))
    environment = airflow_environment(installation)
    # Not the script `airflow`: it names the folder where it was installed.
    airflow = [str(python_of("airflow")), "-m", "airflow"]
    log = installation.logs / "airflow-migrate.log"
    with log.open("ab") as out:
        done = subprocess.run(
            [*airflow, "db", "migrate"], env=environment, cwd=ROOT, stdout=out, stderr=out, check=False
        )
    if done.returncode != 0:
        raise ServerError(f"the migration of Airflow's database failed; {log} ends:\n{tail(log)}")
    servers = {
        "api-server": ["--host", "127.0.0.1", "--port", str(installation.airflow_port), "--workers", "1"],
        "scheduler": ["--skip-serve-logs"],
        "dag-processor": [],
    }
    return [
        launch_process(
            f"Airflow {name}",
            [*airflow, name, *options],
            installation.logs / f"airflow-{name}.log",
            environment,
            installation.airflow_port,
        )
        for name, options in servers.items()
    ]


def log_of_task(installation: Installation, dag: str, run: str, task: str) -> Path:
    """The log of a task's newest try; the log folder if there is none."""
    folder = installation.folder / f"airflow/logs/dag_id={dag}/run_id={run}/task_id={task}"
    return max(folder.glob("attempt=*.log"), default=folder, key=lambda path: path.name)


def task_log_tail(log: Path, lines: int = 15) -> str:
    """The last messages of a task's log, in which Airflow writes one JSON object a line."""
    return "\n".join(_event(line) for line in tail(log, lines).splitlines())


def _event(line: str) -> str:
    try:
        event: str = json.loads(line)["event"]
    except (ValueError, KeyError, TypeError):
        return line
    return event
