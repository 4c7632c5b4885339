"""Lookups share rounds: any number of them takes one connection of each store."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import pytest
from valkey.exceptions import ConnectionError as ValkeyConnectionError

from serving.errors import NotReadyError, OverloadedError
from serving.observability.metrics import Metrics
from serving.recovery.circuit_breaker import CircuitBreaker
from serving.scoring import decision_lookup
from serving.scoring.decision_lookup import ROUND_SIZE, DecisionLookup
from serving.scoring.decision_records import Record, pack
from tests.serving.running import KEYS, ScorerProcess

T = 1_536_600_000
Fresh = Callable[[], int]
MANY = 1_000


class Stores:
    """Both stores: `answers` is the online one, which has the even ids below `MANY`; the log has all below it."""

    def __init__(self) -> None:
        self.calls: dict[str, list[list[int]]] = {"answers": [], "find": []}
        self.running: set[str] = set()
        self.away: dict[str, Exception] = {}

    async def answers(self, ids: Sequence[int]) -> dict[int, bytes]:
        return {
            number: pack({"transaction_id": number}) for number in await self._ask("answers", ids) if not number % 2
        }

    async def find(self, ids: Sequence[int]) -> dict[int, Record]:
        return {number: {"transaction_id": number} for number in await self._ask("find", ids)}

    async def _ask(self, name: str, ids: Sequence[int]) -> list[int]:
        self.calls[name].append(list(ids))
        assert name not in self.running, "a second connection of a store"
        self.running.add(name)
        await asyncio.sleep(0.001)
        self.running.discard(name)
        if name in self.away:
            raise self.away[name]
        return [number for number in ids if number < MANY]


def look_up(stores: Any, ids: Sequence[int], in_use: bool = True) -> list[Any]:
    async def run() -> list[Any]:
        breaker = CircuitBreaker(Metrics())
        if in_use:
            breaker.close(recovered=True)
        lookup = DecisionLookup(breaker, stores, stores)
        return await asyncio.gather(*map(lookup.find, ids), return_exceptions=True)

    return asyncio.run(run())


def test_many_lookups_take_few_calls_one_at_a_time() -> None:
    stores = Stores()
    found = look_up(stores, [*range(MANY), *[2] * MANY])
    assert [record["transaction_id"] for record in found] == [*range(MANY), *[2] * MANY]
    for calls in stores.calls.values():
        assert len(calls) <= 2 + 2 * MANY // ROUND_SIZE
        assert all(len(set(ids)) == len(ids) <= ROUND_SIZE for ids in calls)


def test_an_unknown_payment_has_no_decision() -> None:
    assert look_up(Stores(), [MANY, 1, 2])[0] is None


@pytest.mark.parametrize("in_use", [True, False])
def test_the_log_is_asked_without_the_online_store(in_use: bool) -> None:
    stores = Stores()
    stores.away["answers"] = ValkeyConnectionError("away")
    found, unknown = look_up(stores, [2, MANY], in_use)
    assert found == {"transaction_id": 2}
    assert isinstance(unknown, ValkeyConnectionError if in_use else NotReadyError)
    assert bool(stores.calls["answers"]) == in_use


def test_what_the_store_has_does_not_need_the_log() -> None:
    stores = Stores()
    stores.away["find"] = psycopg.OperationalError("away")
    found, missing = look_up(stores, [2, 3])
    assert found == {"transaction_id": 2}
    assert isinstance(missing, psycopg.OperationalError)


def test_a_lookup_does_not_wait_for_ever_for_those_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hangs(Stores):
        async def find(self, ids: Sequence[int]) -> dict[int, Any]:
            await asyncio.sleep(1)
            return await super().find(ids)

    monkeypatch.setattr(decision_lookup, "PATIENCE_SECONDS", 0.01)
    assert isinstance(look_up(Hangs(), [MANY])[0], OverloadedError)


def test_many_lookups_degrade_no_payment_and_all_are_answered(scorer: ScorerProcess, fresh: Fresh) -> None:
    """More connections than the pools of both stores have, again and again, of a known and an unknown payment."""
    known, unknown = fresh(), 10**15
    scorer.score(known, fresh(), fresh(), 100, T)
    before = len(scorer.log.read_text())

    async def ask(number: int) -> list[bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", scorer.port)
        request = f"GET /v1/decisions/{number} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEYS['read']}\r\n\r\n"
        statuses = []
        for _ in range(3):
            writer.write(request.encode())
            head = await reader.readuntil(b"\r\n\r\n")
            statuses.append(head[9:12])
            await reader.readexactly(int(re.findall(rb"content-length: ([0-9]+)", head)[0]))
        writer.close()
        return statuses

    async def flood() -> tuple[list[list[bytes]], list[dict[str, Any]]]:
        asked = asyncio.gather(*(ask(unknown if number % 2 else known) for number in range(400)))
        payments = [asyncio.to_thread(scorer.score, fresh(), fresh(), fresh(), 100, T) for _ in range(3)]
        return await asked, [await payment for payment in payments]

    found, payments = asyncio.run(flood())
    assert {status for one in found for status in one} == {b"200", b"404"}
    assert not any(payment["degraded"] for payment in payments)
    assert "unavailable" not in scorer.log.read_text()[before:]
