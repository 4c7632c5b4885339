"""The benchmark's load generators, with a real scorer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.scorer import load_generator
from benchmarks.scorer.load_generator import Load
from tests.serving.running import KEYS, ROOT, ScorerProcess, body


def by_wrk(scorer: ScorerProcess, bodies: Path, key: str) -> dict[str, Any]:
    if load_generator.generator() != load_generator.WRK:
        pytest.skip("wrk is not installed")
    asked = Load(f"http://127.0.0.1:{scorer.port}/v1/score", bodies, skip=10, clients=4, seconds=1.0)
    return load_generator.measure(asked, key, load_generator.WRK)


def by_python(scorer: ScorerProcess, bodies: Path, key: str) -> dict[str, Any]:
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


Generator = Callable[[ScorerProcess, Path, str], dict[str, Any]]
both = pytest.mark.parametrize("load", [by_python, by_wrk])


@both
def test_it_reports_requests_and_latencies(scorer: ScorerProcess, bodies: Path, load: Generator) -> None:
    found = load(scorer, bodies, KEYS["score"])
    assert found["failed"] == 0
    assert 0 < found["requests"] <= found["sent"]
    assert 0 < found["p50_ms"] <= found["p99_ms"]
    lines = bodies.read_text().splitlines()
    first, second = (json.loads(lines[n]) for n in ((0, 1) if load is by_python else (10, 11)))
    for payment in (first, second):
        assert scorer.client.get(f"/v1/decisions/{payment['transaction_id']}").status_code == 200


@both
def test_rejections_are_failures(scorer: ScorerProcess, bodies: Path, load: Generator) -> None:
    found = load(scorer, bodies, "no such key")
    # wrk does not wait for the last response of each of its four clients, in two runs.
    assert found["sent"] > 8
    assert found["sent"] - (8 if load is by_wrk else 0) <= found["failed"] <= found["sent"]
