"""Lookups share rounds: any number of them takes one connection of each store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import psycopg
import pytest
from valkey.exceptions import ConnectionError as ValkeyConnectionError

from serving.errors import NotReadyError
from serving.observability.metrics import Metrics
from serving.recovery.circuit_breaker import CircuitBreaker
from serving.scoring.decision_lookup import ROUND_SIZE, DecisionLookup
from serving.scoring.decision_records import Record, pack

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
