"""The benchmark's load generator, with a real scorer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.serving.running import KEYS, ROOT, ScorerProcess, body


def load(scorer: ScorerProcess, bodies: Path, key: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.scorer.load", "--url", f"http://127.0.0.1:{scorer.port}/v1/score"]
    command += ["--bodies", str(bodies), "--clients", "4", "--seconds", "0.5", "--warm-up", "0.1"]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"SCORER_API_KEY": key}, capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def bodies(tmp_path: Path, fresh: Callable[[], int]) -> Path:
    """Many payments, one per line."""
    path = tmp_path / "bodies.jsonl"
    lines = [json.dumps(body(fresh(), 1, 2, 100 + n, 1_530_000_000 + n)) for n in range(5_000)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_it_reports_requests_and_latencies(scorer: ScorerProcess, bodies: Path) -> None:
    found = load(scorer, bodies, KEYS["score"])
    assert found["failed"] == 0
    assert 0 < found["requests"] <= found["sent"]
    assert 0 < found["p50_ms"] <= found["p99_ms"]
    first = json.loads(bodies.read_text().splitlines()[0])
    assert scorer.client.get(f"/v1/decisions/{first['transaction_id']}").status_code == 200


def test_refusals_are_failures(scorer: ScorerProcess, bodies: Path) -> None:
    found = load(scorer, bodies, "no such key")
    assert found["failed"] == found["sent"] > 0
