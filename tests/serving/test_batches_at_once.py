"""Many batches at a time ask the stores a few at a time, and one failure of the store is enough for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from valkey.exceptions import ConnectionError as ValkeyConnectionError

from serving.decision_log.backpressure import Backpressure
from serving.observability.metrics import Metrics
from serving.online_store.protocol import Conflict
from serving.recovery.circuit_breaker import CircuitBreaker
from serving.scoring.decision_records import Record
from serving.scoring.payment import Payment
from serving.scoring.scorer import BATCHES_AT_ONCE, Scorer

MANY = 100


class Both:
    """Scores online and degraded; counts the calls of each method, and how many ran at the same time."""

    def __init__(self, away: bool) -> None:
        self.away = away
        self.calls: dict[str, int] = {}
        self.most: dict[str, int] = {}
        self._running: dict[str, int] = {}

    async def reserve(self, _: Sequence[Payment]) -> int | None:
        await self._call("reserve")
        if self.away:
            raise ValkeyConnectionError("away")
        return None

    async def score_all(self, _: object, payments: Sequence[Payment]) -> list[Record | Conflict]:
        return [{"transaction_id": payment.transaction_id} for payment in payments]

    async def conflict(self, _: Sequence[Payment]) -> int | None:
        await self._call("conflict")
        return None

    async def score_round(self, _: object, payments: Sequence[Payment]) -> list[Record | Conflict]:
        await self._call("score_round")
        return await self.score_all(None, payments)

    async def _call(self, name: str) -> None:
        self.calls[name] = self.calls.get(name, 0) + 1
        self._running[name] = self._running.get(name, 0) + 1
        self.most[name] = max(self.most.get(name, 0), self._running[name])
        await asyncio.sleep(0.001)
        self._running[name] -= 1


@pytest.mark.parametrize("away", [False, True])
def test_few_batches_ask_at_a_time(away: bool) -> None:
    async def run() -> tuple[Both, CircuitBreaker]:
        both, metrics = Both(away), Metrics()
        breaker, champions = CircuitBreaker(metrics), SimpleNamespace(current=None)
        breaker.close(recovered=True)
        parts: Any = (champions, breaker, both, both, Backpressure(10**6, metrics))
        scorer = Scorer(*parts)
        batches = [[Payment(number, 1, 1, 100, 1_536_000_000)] for number in range(MANY)]
        found = await asyncio.gather(*(scorer.score_batch(batch, explain=False) for batch in batches))
        assert [record["transaction_id"] for (record,) in found] == list(range(MANY))
        return both, breaker

    both, breaker = asyncio.run(run())
    assert max(both.most.values()) <= BATCHES_AT_ONCE
    assert both.calls["reserve"] == (BATCHES_AT_ONCE if away else MANY)
    assert breaker.trips == (BATCHES_AT_ONCE if away else 0)
    assert both.calls.get("conflict", 0) == (MANY if away else 0)
