"""The whole pipeline on real servers, driven by its commands and over HTTP."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

from contracts.transaction import from_epoch_seconds

ROOT = Path(__file__).resolve().parents[2]
SERVING_PYTHON = ROOT / "var/env/serving/bin/python"


@dataclass(frozen=True)
class Pipeline:
    """The paths and addresses of one pipeline, with methods that run its parts."""

    folder: Path
    environment: dict[str, str]
    api_key: str
    root: Path = ROOT
    trained: dict[str, Any] = field(default_factory=dict)
    history: dict[str, Any] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def lake(self) -> Path:
        return Path(self.environment["LAKE_URI"])

    def with_code(self, root: Path, lake: Path) -> Pipeline:
        """The same pipeline with different code and another lake."""
        changes = {"PYTHONPATH": str(root), "LAKE_URI": str(lake)}
        return replace(self, root=root, environment=self.environment | changes)

    def with_settings(self, **settings: str) -> Pipeline:
        """The same pipeline with different settings."""
        return replace(self, environment=self.environment | settings)

    def python(self, code: str) -> Any:
        """Run code in this environment; its last line is JSON."""
        return self._last_line([sys.executable, "-c", code])

    def run(self, module: str, *arguments: str) -> Any:
        """Run a command of the project; its last line is JSON."""
        return self._last_line([sys.executable, "-m", module, *arguments])

    def spark(self, job: str, first: date, last: date) -> Any:
        """Run a Spark job over some days, as Airflow does: the jobs of a range of days share one application."""
        submit = [sys.executable, str(self.root / "spark_jobs/submit.py"), "--master", "local[2]"]
        script = str(self.root / f"spark_jobs/{job}.py")
        return self._last_line([*submit, script, "--from", str(first), "--to", str(last)])

    def submit(self, script: Path, *arguments: str) -> Any:
        """Run a Spark application; its last line is JSON."""
        submit = Path(sys.executable).parent / "spark-submit"
        return self._last_line([str(submit), "--master", "local[2]", str(script), *arguments])

    def daily_jobs(self, first: date, last: date) -> dict[str, Any]:
        """What the DAG fraud_daily runs."""
        return {
            job: self.spark(job, first, last) for job in ("ingest", "validate", "build_features", "write_online_state")
        }

    def train(self, first: date, last: date) -> Pipeline:
        """What the DAG fraud_training runs."""
        run_id = self.run("modeling.train", "--from", str(first), "--to", str(last))["run_id"]
        evaluated = self.run("modeling.evaluate", "--run-id", run_id)
        promoted = self.run("modeling.promote", "--run-id", run_id)
        assert promoted["promoted"], promoted
        return replace(self, trained=evaluated)

    def body(self, number: int, customer: int, terminal: int, cents: int, second: int) -> dict[str, Any]:
        """The request body of a payment."""
        return {
            "transaction_id": number,
            "customer_id": customer,
            "terminal_id": terminal,
            "amount": cents / 100,
            "occurred_at": from_epoch_seconds(second).isoformat(),
        }

    def post(self, path: str, body: Any) -> httpx.Response:
        return httpx.post(
            self.environment["SCORER_URL"] + path, json=body, headers={"X-API-Key": self.api_key}, timeout=30
        )

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.environment["SCORER_URL"] + path, headers={"X-API-Key": self.api_key}, timeout=30)

    def score(self, *payment: int) -> dict[str, Any]:
        """The scorer's answer to one payment: id, customer, terminal, cents, second."""
        answer = self.post("/v1/score", self.body(*payment))
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def pay(self, *payment: int) -> dict[str, Any]:
        """Score one payment and record it in the bank, as the replay does."""
        number, customer, terminal, cents, second = payment
        self.land(
            "insert into bank.transactions (source, source_row, transaction_id, customer_id, terminal_id, amount,"
            " occurred_at, arrived_at) values ('by hand', %s, %s, %s, %s, %s, %s, %s)",
            number, number, customer, terminal, Decimal(cents) / 100,
            from_epoch_seconds(second), from_epoch_seconds(second),
        )  # fmt: skip
        return self.score(*payment)

    def report(self, number: int, second: int) -> None:
        """Report a fraud to the bank and to the scorer."""
        at = from_epoch_seconds(second)
        self.land(
            "insert into bank.fraud_reports (source, source_row, transaction_id, reported_at, arrived_at)"
            " values ('by hand', %s, %s, %s, %s)",
            number, number, at, at,
        )  # fmt: skip
        reports = {"reports": [{"transaction_id": number, "reported_at": at.isoformat()}]}
        assert self.post("/v1/fraud-reports", reports).json() == {"accepted": 1, "unknown": []}

    def land(self, statement: str, *values: Any) -> None:
        """Insert into the bank as its feed."""
        import psycopg

        password = (Path(self.environment["SECRETS_DIR"]) / "bank_feed_password").read_text().strip()
        with psycopg.connect(self.environment["BANK_URL"], user="bank_feed", password=password) as connection:
            connection.execute(statement, values)  # type: ignore[arg-type]

    def decision(self, number: int) -> dict[str, Any]:
        """The scorer's decision on a payment."""
        answer = self.get(f"/v1/decisions/{number}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def mlflow(self, path: str, **query: str) -> Any:
        """Query MLflow's REST API."""
        answer = httpx.get(self.environment["MLFLOW_TRACKING_URI"] + path, params=query, timeout=30)
        return answer.raise_for_status().json()

    def bundle(self) -> dict[str, Any]:
        """The champion's bundle.json."""
        found: dict[str, Any] = self.python(
            "import json, mlflow\n"
            "version = mlflow.MlflowClient().get_model_version_by_alias('fraud', 'champion')\n"
            "folder = mlflow.artifacts.download_artifacts(version.source)\n"
            "print(json.dumps(json.load(open(folder + '/bundle/bundle.json'))))\n"
        )
        return found

    def _last_line(self, command: list[str]) -> Any:
        done = subprocess.run(
            command, cwd=self.root, env=os.environ | self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout.strip().splitlines()[-1])


def free_port() -> int:
    """An unused port of the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(pipeline: Pipeline, command: list[str], address: str, log: Path, patience: float = 240) -> Iterator[None]:
    """Start a server, wait until `address` answers 200, and stop it at exit."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | pipeline.environment, stdout=out, stderr=out)
    try:
        _wait(process, address, log, patience)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait(process: subprocess.Popen[bytes], address: str, log: Path, patience: float) -> None:
    end = time.monotonic() + patience
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(address, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"{address} did not answer in {patience} s:\n{log.read_text()[-4000:]}")
