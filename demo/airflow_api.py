"""Airflow by REST, as any client drives it."""

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
PATIENCE_SECONDS: Final = 30
"""How long a run is followed though the api-server does not answer."""


class DagFailed(Exception):
    """A run that failed; names the task."""

    def __init__(self, dag: str, run: str, task: str) -> None:
        super().__init__(f"{dag} failed in {task}")
        self.dag, self.run, self.task = dag, run, task


@dataclass(frozen=True)
class TaskDone:
    """A task that came to its end."""

    task: str
    state: str
    seconds: float


patiently: Final = retry(
    retry=retry_if_exception_type(httpx.TransportError),
    wait=wait_fixed(POLL_SECONDS),
    stop=stop_after_delay(PATIENCE_SECONDS),
    reraise=True,
)
"""Asks again while the api-server does not answer."""


class Airflow:
    """A client with a token of its own."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=30)
        answer = self._client.post("/auth/token", json={"username": user, "password": password}).raise_for_status()
        self._client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def close(self) -> None:
        """Let go of the connection, or the api-server waits for it when it is to end."""
        self._client.close()

    def wait_for_dag(self, dag: str, seconds: float = 90) -> None:
        """Wait until a DAG is known. Raises TimeoutError where it is not, with the import errors."""
        end = time.monotonic() + seconds
        while self._ask("GET", f"/api/v2/dags/{dag}").status_code != httpx.codes.OK:
            if time.monotonic() > end:
                errors = self._get("/api/v2/importErrors").get("import_errors", [])
                raise TimeoutError(f"Airflow does not know the DAG {dag}: {[e['stack_trace'][-500:] for e in errors]}")
            time.sleep(POLL_SECONDS)

    def start(self, dag: str, conf: dict[str, Any], run: str | None = None) -> str:
        """Start a run, under the id `run` where one is given; returns its id. A run that is there stays as it is."""
        body = {"logical_date": None, "conf": conf} | ({"dag_run_id": run} if run else {})
        # Asked again it starts a second run, unless the first one's id is known to be taken.
        ask = self._ask if run else self._client.request
        answer = ask("POST", f"/api/v2/dags/{dag}/dagRuns", json=body)
        if run and answer.status_code == httpx.codes.CONFLICT:
            return run
        if answer.is_error:
            raise httpx.HTTPStatusError(f"{dag} {conf}: {answer.text}", request=answer.request, response=answer)
        run_id: str = answer.json()["dag_run_id"]
        return run_id

    def runs(self, dag: str, limit: int = 100) -> dict[str, str]:
        """The ids of a DAG's runs with their states, the newest first."""
        found = self._get(f"/api/v2/dags/{dag}/dagRuns", order_by="-run_after", limit=limit)["dag_runs"]
        return {run["dag_run_id"]: run["state"] for run in found}

    def newest_run(self, dag: str, seconds: float = 60) -> str:
        """The id of the newest run, waiting for the first."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if runs := self.runs(dag, limit=1):
                return next(iter(runs))
            time.sleep(POLL_SECONDS)
        raise TimeoutError(f"no run of {dag} was started within {seconds} s")

    def follow(self, dag: str, run: str, running: Callable[[str], None]) -> Iterator[TaskDone]:
        """Each task as it comes to its end, until the run does. Raises `DagFailed`."""
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

    def said_in_task(self, dag: str, run: str, task: str, lines: int = 15) -> list[str]:
        """What a task of a run said last."""
        place = f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances/{task}"
        content = self._get(f"{place}/logs/{self._get(place)['try_number']}", full_content=True)["content"]
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
