"""The containers, built and started from nothing for the session, and taken down to nothing after it."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from demo.processes import MemoryWatch
from demo.servers import free_port
from tests.compose.stack import PROJECT, ROOT, Stack, run

KEPT = ROOT / "var/compose"
"""The containers' logs, and what was measured: results.json."""


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The running line."""
    stack = Stack({name: free_port() for name in ("SCORER", "AIRFLOW", "MLFLOW", "SPARK")})
    stack.compose("down", "--volumes", "--remove-orphans")
    assert stack.leftovers() == []
    shutil.rmtree(KEPT, ignore_errors=True)
    (KEPT / "logs").mkdir(parents=True)
    others = set(run("docker", "volume", "ls", "--quiet").split())
    stack.compose("build")
    try:
        began, start = datetime.now(UTC), time.monotonic()
        with MemoryWatch(stack.memory_mb) as watch:
            stack.compose("up", "--detach", "--wait")
        waited = time.monotonic() - start
        first = stack.sql("decisions", "select extract(epoch from min(decided_at)) from serving.decisions")
        assert first, "`up --wait` returned, and no payment was scored"
        stack.scored_after = float(first) - began.timestamp()
        results = {
            "first_payment_seconds": round(stack.scored_after, 1),
            "up_wait_seconds": round(waited, 1),
            "peak_memory_mb": round(watch.peak_mb),
        }
        (KEPT / "results.json").write_text(json.dumps(results, indent=2) + "\n")
        print(json.dumps(results))
        yield stack
    finally:
        for service, some in stack.containers().items():
            for number, container in enumerate(some, 1):
                said = run("sh", "-c", f"docker logs --timestamps {container['Id']} 2>&1", check=False)
                (KEPT / f"logs/{service}-{number}.log").write_text(said)
        stack.compose("down", "--volumes", "--remove-orphans")
    assert stack.leftovers() == [], f"`docker compose down --volumes` left something of {PROJECT}"
    assert set(run("docker", "volume", "ls", "--quiet").split()) <= others, "a volume without a name was left"
