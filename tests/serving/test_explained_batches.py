"""Explaining batches takes one thread at a time, and batches take turns."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from serving.scoring import scorer as module
from serving.scoring.payment import Payment
from serving.scoring.scorer import EXPLAINED_AT_ONCE, Scorer


class Online:
    """Answers with a record for each payment."""

    async def reserve(self, _: Sequence[Payment]) -> None:
        return None

    async def score_all(self, _: Any, payments: Sequence[Payment]) -> list[dict[str, Any]]:
        return [{"transaction_id": payment.transaction_id} for payment in payments]


@asynccontextmanager
async def admit(_: int) -> AsyncIterator[None]:
    yield


def make_scorer() -> Scorer:
    parts: Any = {
        "champions": SimpleNamespace(current=None),
        "breaker": SimpleNamespace(closed=True, state=module.State.CLOSED),
        "online": Online(),
        "degraded": None,
        "backpressure": SimpleNamespace(batch=admit),
    }
    return Scorer(**parts)


def test_one_thread_explains_and_a_small_batch_does_not_wait_for_large_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once, most, lock = 0, 0, threading.Lock()

    def slow(_: Any, record: dict[str, Any]) -> dict[str, Any]:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.0005)
        with lock:
            at_once -= 1
        return record | {"explained": True}

    monkeypatch.setattr(module, "explained", slow)
    ended: list[str] = []

    async def batch(scorer: Scorer, name: str, first: int, count: int) -> None:
        payments = [Payment(first + n, 1, 1, 100, 1_536_500_000 + n) for n in range(count)]
        records = await scorer.score_batch(payments, explain=True)
        assert [record["transaction_id"] for record in records] == list(range(first, first + count))
        assert all(record["explained"] for record in records)
        ended.append(name)

    async def run() -> None:
        scorer = make_scorer()
        large = [asyncio.create_task(batch(scorer, "large", n * 10_000, 12 * EXPLAINED_AT_ONCE)) for n in range(4)]
        await asyncio.sleep(0.05)
        await batch(scorer, "small", 90_000, 5)
        await asyncio.gather(*large)

    asyncio.run(run())
    assert most == 1
    assert ended[0] == "small"
