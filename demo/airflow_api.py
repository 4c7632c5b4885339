"""A client for Airflow's REST API."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import httpx
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

FINAL: Final = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
POLL_SECONDS: Final = 0.5
RETRY_SECONDS: Final = 90
"""How long requests are retried while the api-server does not answer."""


class DagFailed(Exception):
    """A DAG run failed; names the task."""

    def __init__(self, dag: str, run: str, task: str) -> None:
        super().__init__(f"{dag} failed in {task}")
        self.dag, self.run, self.task = dag, run, task


@dataclass(frozen=True)
class TaskDone:
    """A finished task: its id, its final state and its duration."""

    task: str
    state: str
    seconds: float


patiently: Final = retry(
    retry=retry_if_exception_type(httpx.TransportError),
    wait=wait_fixed(POLL_SECONDS),
    stop=stop_after_delay(RETRY_SECONDS),
    reraise=True,
)
"""Retries a request while the api-server does not answer."""


class Airflow:
    """An authenticated client; `user` and `password` are exchanged for a token."""

    def __init__(self, url: str, user: str, password: str) -> None:
        # Airflow is the pipeline's own server, here and in containers: no proxy.
        self._client = httpx.Client(base_url=url, timeout=30, trust_env=False)
        answer = self._client.post("/auth/token", json={"username": user, "password": password}).raise_for_status()
        self._client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def close(self) -> None:
        """Close the connection; the api-server waits for open connections when it shuts down."""
        self._client.close()

    def wait_for_dag(self, dag: str, seconds: float = 90) -> None:
        """Wait until Airflow has parsed a DAG. Raises TimeoutError, with the import errors, after `seconds`."""
        end = time.monotonic() + seconds
        while self._ask("GET", f"/api/v2/dags/{dag}").status_code != httpx.codes.OK:
            if time.monotonic() > end:
                errors = self._get("/api/v2/importErrors").get("import_errors", [])
                found = [error["stack_trace"][-500:] for error in errors]
                remedy = f"correct its import errors {found}" if found else "check that its dag-processor runs"
                raise TimeoutError(f"Airflow has not loaded the DAG {dag} within {seconds:.0f} s: {remedy}")
            time.sleep(POLL_SECONDS)

    def start(self, dag: str, conf: dict[str, Any], run: str | None = None) -> str:
        """Start a run, with the id `run` if given; returns the run's id. An existing run of that id is kept."""
        body = {"logical_date": None, "conf": conf} | ({"dag_run_id": run} if run else {})
        # Retrying without an id could start a second run; with one, the retry answers 409.
        ask = self._ask if run else self._client.request
        answer = ask("POST", f"/api/v2/dags/{dag}/dagRuns", json=body)
        if run and answer.status_code == httpx.codes.CONFLICT:
            return run
        if answer.is_error:
            raise httpx.HTTPStatusError(
                f"Airflow rejects a run of {dag} with {conf} ({answer.status_code} {answer.text}): correct the values",
                request=answer.request,
                response=answer,
            )
        run_id: str = answer.json()["dag_run_id"]
        return run_id

    def runs(self, dag: str, limit: int = 100) -> dict[str, str]:
        """A DAG's runs, newest first: state by run id."""
        found = self._get(f"/api/v2/dags/{dag}/dagRuns", order_by="-run_after", limit=limit)["dag_runs"]
        return {run["dag_run_id"]: run["state"] for run in found}

    def newest_run(self, dag: str, seconds: float = 60) -> str:
        """The id of the newest run; waits up to `seconds` for one. Raises TimeoutError."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if runs := self.runs(dag, limit=1):
                return next(iter(runs))
            time.sleep(POLL_SECONDS)
        raise TimeoutError(f"no run of {dag} was started within {seconds:.0f} s: check that Airflow's scheduler runs")

    def follow(self, dag: str, run: str, running: Callable[[str], None]) -> Iterator[TaskDone]:
        """Yield each task as it finishes, until the run ends. Raises `DagFailed`.

        `running` is called with the id of the task that runs now.
        """
        seen: set[str] = set()
        while True:
            state = self._get(f"/api/v2/dags/{dag}/dagRuns/{run}")["state"]
            tasks = self._get(f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances")["task_instances"]
            for task in sorted(tasks, key=lambda one: one["start_date"] or "~"):
                if task["state"] in FINAL and task["task_id"] not in seen:
                    seen.add(task["task_id"])
                    yield TaskDone(task["task_id"], task["state"], _seconds(task))
                elif task["state"] == "running":
                    running(task["task_id"])
            if state in ("success", "failed"):
                failed = [task["task_id"] for task in tasks if task["state"] == "failed"]
                if state == "failed":
                    raise DagFailed(dag, run, failed[0] if failed else "a task")
                return
            time.sleep(POLL_SECONDS)

    def task_log_tail(self, dag: str, run: str, task: str, lines: int = 15) -> list[str]:
        """The last lines of the log of a task's newest try."""
        path = f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances/{task}"
        content = self._get(f"{path}/logs/{self._get(path)['try_number']}", full_content=True)["content"]
        return [str(line.get("event", line)) if isinstance(line, dict) else str(line) for line in content][-lines:]

    @patiently
    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self._client.request(method, path, **options)

    def _get(self, path: str, **query: Any) -> Any:
        return self._ask("GET", path, params=query).raise_for_status().json()


def _seconds(task: dict[str, Any]) -> float:
    if not task["start_date"] or not task["end_date"]:
        return 0.0
    start, end = (datetime.fromisoformat(task[name].replace("Z", "+00:00")) for name in ("start_date", "end_date"))
    return (end - start).total_seconds()
