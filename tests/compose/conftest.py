"""The containers: built and started on empty volumes for the session, and removed with them after it."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from demo.embedded_servers import free_port
from demo.processes import MemoryWatch
from tests.compose.stack import PROJECT, Stack


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The running containers."""
    stack = Stack({name: free_port() for name in ("SCORER", "AIRFLOW", "MLFLOW", "SPARK")})
    stack.compose("down", "--volumes", "--remove-orphans")
    assert stack.leftovers() == []
    shutil.rmtree(stack.kept, ignore_errors=True)
    stack.kept.mkdir(parents=True)
    stack.compose("build")
    try:
        start(stack)
        yield stack
    finally:
        stack.keep_logs(stack.kept / "logs")
        unnamed = stack.unnamed_volumes()
        stack.compose("down", "--volumes", "--remove-orphans")
    assert stack.leftovers() == [], f"`docker compose down --volumes` left something of {PROJECT}"
    assert unnamed == set(), "a volume without a name, which `down` leaves behind"


def start(stack: Stack) -> None:
    """Run `up` on empty volumes; record its duration."""
    began, clock = datetime.now(UTC), time.monotonic()
    with MemoryWatch(stack.memory_mb) as watch:
        stack.compose("up", "--detach", "--wait")
    waited = time.monotonic() - clock
    first = stack.sql("decisions", "select extract(epoch from min(decided_at)) from serving.decisions")
    assert first, "`up --wait` returned, and no payment was scored"
    stack.measured |= {
        "first_payment_seconds": round(float(first) - began.timestamp(), 1),
        "up_wait_seconds": round(waited, 1),
        "peak_memory_mb": round(watch.peak_mb),
    }
    (stack.kept / "results.json").write_text(json.dumps(stack.measured, indent=2) + "\n")
