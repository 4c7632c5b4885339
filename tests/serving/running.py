"""A scorer in a separate process, as deployed, with a client."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from contracts.transaction import from_epoch_seconds
from demo.embedded_servers import free_port

ROOT = Path(__file__).resolve().parents[2]
KEYS = {name: f"key-{name}" for name in ("all", "score", "report", "read", "slow", "shared", "batches")}


@dataclass
class ScorerProcess:
    """`python -m serving` with these settings, on a separate port that it keeps across restarts."""

    settings: dict[str, str]
    log: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", headers={"X-API-Key": KEYS["all"]}, timeout=30
        )

    def start(self, ready: bool = True) -> ScorerProcess:
        """Start it and wait until it is ready, or until it answers at all."""
        self.process = run_serving(self.settings | {"SCORER_PORT": str(self.port)}, self.log)
        wait_for(lambda: self._answers("/readyz" if ready else "/livez"), self.log.read_text)
        return self

    def stop(self) -> int:
        """Stop it gracefully; returns its exit code."""
        assert self.process
        self.process.terminate()
        return self.process.wait(timeout=30)

    def kill(self) -> None:
        """Kill it."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def score(self, *payment: int, **query: Any) -> dict[str, Any]:
        """Score one payment (id, customer, terminal, cents, second); returns the answer."""
        answer: dict[str, Any] = ok(self.client.post("/v1/score", json=body(*payment), params=query))
        return answer

    def batch(self, payments: Sequence[tuple[int, ...]], **query: Any) -> list[dict[str, Any]]:
        """Score many payments; returns the answers."""
        asked = {"transactions": [body(*payment) for payment in payments]}
        results: list[dict[str, Any]] = ok(self.client.post("/v1/score/batch", json=asked, params=query))["results"]
        return results

    def report(self, *reports: tuple[int, int]) -> dict[str, Any]:
        """Report frauds, each an id and a second."""
        answer: dict[str, Any] = ok(self.client.post("/v1/fraud-reports", json=reports_body(*reports)))
        return answer

    def features(self, number: int) -> dict[str, float]:
        """The features of a decision."""
        found: dict[str, float] = ok(self.client.get(f"/v1/decisions/{number}"))["features"]
        return found

    def _answers(self, path: str) -> bool:
        assert self.process
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.client.get(path).status_code == 200
        except httpx.TransportError:
            return False


def command_of(pid: int) -> bytes:
    """A process's command line; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def run_serving(settings: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start `python -m serving`."""
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "serving"], cwd=ROOT, env=os.environ | settings, stdout=out, stderr=out
        )


def wait_for(condition: Callable[[], Any], told: Callable[[], str] = str, patience: float = 30) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"not within {patience} s: {told()}"
        time.sleep(0.05)


def ok(answer: httpx.Response) -> Any:
    """The JSON of an answer with status 200."""
    assert answer.status_code == 200, answer.text
    return answer.json()


def body(number: int, customer: int, terminal: int, cents: int, second: int) -> dict[str, Any]:
    """The request body of a payment."""
    return {
        "transaction_id": number,
        "customer_id": customer,
        "terminal_id": terminal,
        "amount": cents / 100,
        "occurred_at": from_epoch_seconds(second).isoformat(),
    }


def reports_body(*reports: tuple[int, int]) -> dict[str, Any]:
    """The request body of fraud reports."""
    made = [{"transaction_id": number, "reported_at": from_epoch_seconds(at).isoformat()} for number, at in reports]
    return {"reports": made}
