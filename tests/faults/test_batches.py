"""Batches as fast as they go, with PostgreSQL healthy: no store fills up, and every answer has its history."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import valkey

from contracts.online_state import DECISIONS_KEY, META_KEY, Stamp
from demo.embedded_servers import Server, start_valkey
from tests.serving.running import KEYS, ScorerProcess, body

SECONDS = 8.0
CLIENTS = 6
BATCH = 1_000
WAITING = 2_000
"""The limit of the outbox."""
FULL = "of Valkey's memory is used"
PATIENCE = 60.0
MEMORY = 32 * 2**20
START = 1_530_000_000


@dataclass
class Flood:
    """Threads that send batches without a pause, and what came back."""

    scorer: ScorerProcess
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    statuses: Counter[int] = field(default_factory=Counter)
    scored: int = 0
    degraded: int = 0
    reasons: set[str] = field(default_factory=set)
    longest: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, state: valkey.Valkey, seconds: float) -> None:
        """Send batches for some seconds, and watch the outbox."""
        end = time.monotonic() + seconds
        threads = [threading.Thread(target=self._send, args=(end,)) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            self.longest = max(self.longest, int(state.xlen(DECISIONS_KEY)))
            time.sleep(0.05)

    def _send(self, end: float) -> None:
        with httpx.Client(
            base_url=self.scorer.client.base_url, headers={"X-API-Key": KEYS["score"]}, timeout=60
        ) as client:
            while time.monotonic() < end:
                with self.lock:
                    first = next(self.numbers) * BATCH
                payments = [
                    body(n, n % 5_000, n % 997, 100 + n % 900, START + n // 50) for n in range(first, first + BATCH)
                ]
                answer = client.post(
                    "/v1/score/batch",
                    content=orjson.dumps({"transactions": payments}),
                    headers={"Content-Type": "application/json"},
                )
                self._take(answer)

    def _take(self, answer: httpx.Response) -> None:
        with self.lock:
            self.statuses[answer.status_code] += 1
            if answer.status_code == 200:
                results = answer.json()["results"]
                self.scored += len(results)
                self.degraded += sum(result["degraded"] for result in results)
            else:
                self.reasons.add(answer.json()["detail"])


@dataclass
class System:
    """A scorer on a Valkey of its own."""

    scorer: ScorerProcess
    state: valkey.Valkey


@pytest.fixture
def system(
    start: Callable[..., ScorerProcess],
    tmp_path: Path,
    make_database: Callable[[Any, str], str],
    valkey_server: Any,
    postgres: Server,
) -> Iterator[System]:
    own = start_valkey(tmp_path / "valkey/data", valkey_server.password, tmp_path / "valkey/log")
    decisions = make_database(postgres, f"decisions_{tmp_path.name}")
    with valkey.Valkey(port=own.port, password=own.password) as state:
        state.hset(META_KEY, mapping=Stamp(written_to="2018-06-01").fields())
        address = f"valkey://127.0.0.1:{own.port}/0"
        scorer = start(
            VALKEY_URL=address,
            DECISIONS_URL=decisions,
            SCORER_MAX_DECISIONS_WAITING=str(WAITING),
            # On a busy machine a second passes without a full store.
            SCORER_TIMEOUT_SECONDS="5",
        )
        yield System(scorer, state)
        scorer.stop()
    own.stop()


def test_with_postgresql_healthy_the_outbox_stays_short_and_nothing_is_degraded(system: System) -> None:
    flood = Flood(system.scorer)
    flood.run(system.state, SECONDS)
    # A busy machine may reject some.
    assert flood.statuses.keys() <= {200, 503}, flood
    assert flood.scored, flood
    assert (flood.degraded, flood.longest < 2 * WAITING) == (0, True), flood


def test_while_valkey_fills_up_batches_are_rejected_and_single_payments_have_their_history(system: System) -> None:
    system.state.config_set("maxmemory", MEMORY)
    flood = Flood(system.scorer)
    end = time.monotonic() + PATIENCE
    while not any(FULL in reason for reason in flood.reasons):
        assert time.monotonic() < end, flood
        flood.run(system.state, SECONDS / 4)
    flood.run(system.state, SECONDS / 4)
    assert flood.statuses.keys() == {200, 503}, flood
    assert flood.degraded == 0, flood
    assert system.state.info("memory")["used_memory"] < MEMORY
    for number in range(1, 20):
        assert not system.scorer.score(number, number, number, 100, START)["degraded"]
