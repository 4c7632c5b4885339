"""Several workers on one Valkey: they agree, a killed one is replaced, and all shut down cleanly."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import valkey

from serving.observability.metrics import MULTIPROCESS
from tests.serving.conftest import Start
from tests.serving.running import KEYS, ScorerProcess, body, command_of, wait_for

T = 1_535_400_000
Fresh = Callable[[], int]


@pytest.fixture(scope="module")
def many(start: Start, state: valkey.Valkey) -> Iterator[ScorerProcess]:
    """A scorer with three workers."""
    assert state.ping()
    scorer = start(SCORER_WORKERS="3")
    wait_for(lambda: len(workers(scorer)) == 3)
    yield scorer
    if scorer.process and scorer.process.poll() is None:
        scorer.kill()


def workers(scorer: ScorerProcess) -> set[int]:
    """The worker processes: spawned children."""
    assert scorer.process
    children = Path(f"/proc/{scorer.process.pid}/task/{scorer.process.pid}/children").read_text().split()
    return {int(pid) for pid in children if b"spawn_main" in command_of(int(pid))}


def figures_of(worker: int) -> dict[str, Path]:
    """The names of the files with one worker's Prometheus metrics."""
    environment = Path(f"/proc/{worker}/environ").read_bytes().split(b"\0")
    (folder,) = [item.split(b"=", 1)[1].decode() for item in environment if item.startswith(MULTIPROCESS.encode())]
    return {path.name: path for path in Path(folder).glob(f"*_{worker}.db")}


def post(scorer: ScorerProcess, payment: tuple[int, int, int, int, int]) -> dict[str, Any]:
    """Post over a new connection, so that any worker may accept it; retry if a worker died."""
    for _ in range(20):
        try:
            answer = httpx.post(
                f"http://127.0.0.1:{scorer.port}/v1/score",
                json=body(*payment),
                headers={"X-API-Key": KEYS["score"]},
                timeout=30,
            )
        except httpx.TransportError:
            continue
        if answer.status_code == 200:
            found: dict[str, Any] = answer.json()
            return found
        assert answer.status_code == 503, answer.text
    raise AssertionError("no answer")


def test_every_worker_gives_the_same_answer(many: ScorerProcess, fresh: Fresh) -> None:
    payments = [(fresh(), n % 5, n % 3, 1_000 + n, T + n) for n in range(60)]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda payment: post(many, payment), payments * 3))
    for payment, first, second, third in zip(payments, answers[:60], answers[60:120], answers[120:], strict=True):
        assert first == second == third
        assert first["transaction_id"] == payment[0]


def test_their_metrics_are_merged(many: ScorerProcess, fresh: Fresh) -> None:
    def answered() -> float:
        lines = many.client.get("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("scorer_decisions_total"))

    before = answered()
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda payment: post(many, payment), [(fresh(), 1, 1, 100, T) for _ in range(40)]))
    assert answered() == before + 40
    text = many.client.get("/metrics").text
    assert "scorer_online_state_in_use 1.0" in text
    for step in ("claim", "features", "score", "store"):
        assert f'scorer_step_seconds_count{{step="{step}"}}' in text


def test_a_killed_worker_is_replaced_and_every_retry_has_one_answer(many: ScorerProcess, fresh: Fresh) -> None:
    payments = [(fresh(), n % 7, n % 4, 2_000 + n, T + 100 + n) for n in range(300)]
    before = workers(many)
    with ThreadPoolExecutor(12) as pool:
        first = [pool.submit(post, many, payment) for payment in payments]
        os.kill(min(before), signal.SIGKILL)
        answers = [one.result() for one in first]
        assert [one.result() for one in [pool.submit(post, many, payment) for payment in payments]] == answers
    wait_for(lambda: len(workers(many)) == 3 and min(before) not in workers(many))


def test_of_a_killed_worker_only_the_counters_stay(many: ScorerProcess) -> None:
    killed = min(workers(many))
    kept = figures_of(killed)
    assert any(name.startswith("gauge_live") for name in kept)
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: len(workers(many)) == 3 and killed not in workers(many), patience=60)
    httpx.get(f"http://127.0.0.1:{many.port}/metrics").raise_for_status()
    folder = next(iter(kept.values())).parent
    left = {path.name for path in folder.glob(f"*_{killed}.db")}
    assert left == {name for name in kept if not name.startswith("gauge_live")}


def test_all_shut_down_cleanly(many: ScorerProcess) -> None:
    mine = workers(many)
    assert many.stop() == 0
    for pid in mine:
        assert not Path(f"/proc/{pid}").exists()
