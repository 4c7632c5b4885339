"""The containers from outside: `docker compose`, published ports and Docker's reports."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "fraud-relay-test"
JOBS = {"credentials", "migrate", "airflow-migrate", "mlflow-migrate", "bootstrap"}
LABEL = f"label=com.docker.compose.project={PROJECT}"


def run(*command: str, environment: dict[str, str] | None = None, check: bool = True) -> str:
    """The standard output of a command; a failure raises with its whole output."""
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def wait_until(what: str, holds: Callable[[], Any], seconds: float = 120) -> Any:
    """The result of `holds`, as soon as it is true."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.5)
    return found


@dataclass
class Stack:
    """One Compose project, on separate ports."""

    ports: dict[str, int]
    rate: int = 40
    kept: Path = ROOT / "var/compose"
    """For the containers' logs, and what was measured: results.json."""
    measured: dict[str, float] = field(default_factory=dict)
    disturbed: list[tuple[datetime, datetime]] = field(default_factory=list)
    """When a test itself broke something."""
    settings: dict[str, str] = field(default_factory=dict)
    """Further variables."""

    @property
    def environment(self) -> dict[str, str]:
        """The environment, as a user would set it in the shell or in .env."""
        ports = {f"{name}_PORT": str(port) for name, port in self.ports.items()}
        return os.environ | ports | {"COMPOSE_PROJECT_NAME": PROJECT, "REPLAY_RATE": str(self.rate)} | self.settings

    def compose(self, *arguments: str, check: bool = True) -> str:
        return run("docker", "compose", *arguments, environment=self.environment, check=check)

    def make(self, target: str) -> str:
        return run("make", "--no-print-directory", target, environment=self.environment)

    def sh(self, service: str, script: str, check: bool = True) -> str:
        """Run a script in a running container."""
        return self.compose("exec", "--no-TTY", service, "sh", "-c", script, check=check)

    def sql(self, database: str, query: str) -> str:
        """One value, queried inside PostgreSQL's container."""
        password = "PGPASSWORD=$(cat /run/credentials/postgres/bank_admin_password)"
        return self.sh("postgres", f'{password} psql -h 127.0.0.1 -U postgres -d {database} -qAtc "{query}"').strip()

    def valkey(self, *command: str) -> str:
        password = "REDISCLI_AUTH=$(cat /run/credentials/valkey/valkey_password)"
        return self.sh("valkey", f"{password} valkey-cli {' '.join(command)}").strip()

    def spark_line(self, module: str, *arguments: str) -> dict[str, Any]:
        """Run one of the data engineer's commands where Airflow's tasks run; its last line is JSON."""
        out = self.sh("airflow-scheduler", f"/opt/pipeline/bin/python -m {module} {' '.join(arguments)}")
        found: dict[str, Any] = json.loads(out.splitlines()[-1])
        return found

    @cached_property
    def config(self) -> dict[str, Any]:
        """The compose file, as Compose reads it."""
        found: dict[str, Any] = json.loads(self.compose("config", "--format", "json"))
        return found

    def containers(self) -> dict[str, list[dict[str, Any]]]:
        """Docker's description of each service's containers."""
        ids = run("docker", "ps", "--all", "--quiet", "--filter", LABEL).split()
        found: dict[str, list[dict[str, Any]]] = {}
        for container in json.loads(run("docker", "inspect", *ids)) if ids else []:
            found.setdefault(container["Config"]["Labels"]["com.docker.compose.service"], []).append(container)
        return found

    def states(self) -> dict[str, str]:
        """Each container's health or, without a health check, its state and exit code."""
        return {
            container["Name"]: _state(container["State"]) for some in self.containers().values() for container in some
        }

    def unwell(self) -> dict[str, str]:
        """Containers that are neither healthy nor a successful job."""
        return {name: state for name, state in self.states().items() if state not in ("healthy", "exited 0")}

    def sick(self) -> set[str]:
        """The services that Docker reports as unhealthy."""
        return {
            name
            for name, some in self.containers().items()
            if any(_state(container["State"]) == "unhealthy" for container in some)
        }

    @cached_property
    def credentials(self) -> dict[str, str]:
        """What `make credentials` prints."""
        return dict(line.split("=", 1) for line in self.make("credentials").splitlines())

    def scorer(self, method: str, path: str, key: str | None = None, **options: Any) -> httpx.Response:
        """Call the scorer, by default with the key that `make credentials` shows."""
        headers = {"X-API-Key": self.credentials["SCORER_API_KEY"] if key is None else key}
        return httpx.request(
            method, self.credentials["SCORER_URL"] + path, headers=headers, timeout=30, trust_env=False, **options
        )

    def champion(self) -> dict[str, Any]:
        """The champion in MLflow's registry."""
        query = {"name": "fraud", "alias": "champion"}
        address = self.credentials["MLFLOW_URL"] + "/api/2.0/mlflow/registered-models/alias"
        login = self.credentials["MLFLOW_USER"], self.credentials["MLFLOW_PASSWORD"]
        answer = httpx.get(address, params=query, auth=login, timeout=30, trust_env=False).raise_for_status()
        found: dict[str, Any] = answer.json()["model_version"]
        return found

    def live_days(self) -> list[date]:
        """The days with decided live payments, except those of the tests (ids from 10^15)."""
        days = "select distinct (occurred_at at time zone 'UTC')::date from serving.decisions"
        query = f"{days} where transaction_id < 1e15"
        return sorted(date.fromisoformat(line) for line in self.sql("decisions", query).split())

    @contextmanager
    def disturbance(self, settled_seconds: int = 20) -> Iterator[None]:
        """Inject a fault in the body, then wait for recovery; errors logged meanwhile are expected."""
        began = datetime.now(UTC)
        try:
            yield
            wait_until("every service is healthy again", lambda: self.is_settled(settled_seconds), 240)
        finally:
            self.disturbed.append((began, datetime.now(UTC)))

    def is_settled(self, seconds: int) -> bool:
        """Whether all is healthy and stays so: some services notice a long outage of a dependency late."""
        for _ in range(seconds // 2):
            if self.unwell():
                return False
            time.sleep(2)
        return True

    def logs(self) -> list[tuple[str, datetime, str]]:
        """Every log line of every container: service, time, text."""
        lines = []
        for service, some in self.containers().items():
            for container in some:
                done = subprocess.run(
                    ["docker", "logs", "--timestamps", container["Id"]], capture_output=True, text=True, check=True
                )
                for line in filter(None, (done.stdout + done.stderr).split("\n")):
                    at, _, text = line.partition(" ")
                    lines.append((service, datetime.fromisoformat(at[:26] + "+00:00"), text))
        return lines

    def memory_mb(self) -> float:
        """The total memory of the containers in MiB, as Docker counts it."""
        ids = run("docker", "ps", "--quiet", "--filter", LABEL).split()
        # A container that ends meanwhile is not an error.
        shown = run("docker", "stats", "--no-stream", "--format", "{{.MemUsage}}", *ids, check=False) if ids else ""
        used = [line.split(" / ")[0] for line in shown.splitlines()]
        return sum(_mebibytes(text) for text in used if not text.startswith("--"))

    def keep_logs(self, folder: Path) -> None:
        """Append every container's log to a file under `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        for service, some in self.containers().items():
            for number, container in enumerate(some, 1):
                said = run("sh", "-c", f"docker logs --timestamps {container['Id']} 2>&1", check=False)
                with (folder / f"{service}-{number}.log").open("a") as log:
                    log.write(said)

    def unnamed_volumes(self) -> set[str]:
        """Volumes of its containers that the compose file does not name."""
        mounts = [mount for some in self.containers().values() for one in some for mount in one["Mounts"]]
        return {mount["Name"] for mount in mounts if not mount.get("Name", PROJECT).startswith(PROJECT)}

    def leftovers(self) -> list[str]:
        """Everything of this project that still exists in Docker."""
        kinds = {"container": ["ps", "--all"], "volume": ["volume", "ls"], "network": ["network", "ls"]}
        return [
            f"{kind} {name}"
            for kind, command in kinds.items()
            for name in run("docker", *command, "--quiet", "--filter", LABEL).split()
        ]


def _state(state: dict[str, Any]) -> str:
    if state["Status"] == "exited":
        return f"exited {state['ExitCode']}"
    health: str = state.get("Health", {}).get("Status", state["Status"])
    return health


def _mebibytes(text: str) -> float:
    units = {"GiB": 1024.0, "MiB": 1.0, "KiB": 1 / 1024, "kB": 1 / 1049, "MB": 1 / 1.049, "GB": 954.0, "B": 2.0**-20}
    unit = next(unit for unit in units if text.endswith(unit))
    return float(text.removesuffix(unit)) * units[unit]
