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
from serving.scoring.scorer import EXPLAINED_AT_ONCE, LARGE_EXPLAINED, Scorer


class Online:
    """Answers with a record for each payment."""

    async def reserve(self, _: Sequence[Payment]) -> None:
        return None

    def __init__(self) -> None:
        self.scored: list[int] = []

    async def score_all(self, _: Any, payments: Sequence[Payment]) -> list[dict[str, Any]]:
        self.scored.append(len(payments))
        return [{"transaction_id": payment.transaction_id} for payment in payments]


@asynccontextmanager
async def admit(_: int) -> AsyncIterator[None]:
    yield


def make_scorer(online: Online | None = None) -> Scorer:
    parts: Any = {
        "champions": SimpleNamespace(current=None),
        "breaker": SimpleNamespace(closed=True, state=module.State.CLOSED),
        "online": online or Online(),
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


@pytest.mark.parametrize(("size", "scored"), [(LARGE_EXPLAINED, 3), (LARGE_EXPLAINED + 1, 1)])
def test_large_batches_with_all_reasons_are_scored_one_at_a_time(
    monkeypatch: pytest.MonkeyPatch, size: int, scored: int
) -> None:
    """Their records and reasons take too much memory together."""
    started, go = threading.Event(), threading.Event()

    def held(_: Any, record: dict[str, Any]) -> dict[str, Any]:
        started.set()
        go.wait(10)
        return record

    monkeypatch.setattr(module, "explained", held)

    async def run() -> int:
        online = Online()
        scorer = make_scorer(online)
        batches = [
            [Payment(first + n, 1, 1, 100, 1_536_500_000) for n in range(size)] for first in (0, 10**6, 2 * 10**6)
        ]
        tasks = [asyncio.create_task(scorer.score_batch(batch, explain=True)) for batch in batches]
        await asyncio.to_thread(started.wait, 10)
        found = len(online.scored)
        go.set()
        await asyncio.gather(*tasks)
        assert online.scored == [size] * 3
        return found

    assert asyncio.run(run()) == scored
