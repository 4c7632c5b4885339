"""Look decisions up: requests that come at the same time share a round, so they take one connection of each store.

Each on its own would wait for the connections that payments and the relay need, and a full pool looks like a store
that does not answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from valkey.exceptions import ValkeyError

from serving.decision_log.protocol import FindableLog
from serving.errors import NotReadyError, OverloadedError
from serving.online_store.protocol import OnlineStore
from serving.recovery.circuit_breaker import CircuitBreaker
from serving.scoring.decision_records import Record, unpack
from serving.scoring.micro_batcher import MicroBatcher

ROUND_SIZE: Final = 250
"""Lookups in one round, at most."""
PATIENCE_SECONDS: Final = 5.0
"""How long a lookup waits: all keys share the rounds, and one of a log that hangs takes seconds."""


class DecisionLookup:
    """Finds decisions, in the online store and then in the decision log."""

    def __init__(self, breaker: CircuitBreaker, store: OnlineStore, log: FindableLog) -> None:
        self._breaker = breaker
        self._store = store
        self._log = log
        self._stored: MicroBatcher[int, bytes | None] = MicroBatcher(self._in_store, ROUND_SIZE, 1)
        # Separate: lookups that need the store alone do not wait for a log that does not answer.
        self._recorded: MicroBatcher[int, Record | None] = MicroBatcher(self._in_log, ROUND_SIZE, 1)

    async def find(self, transaction_id: int) -> Record | None:
        """The decision on a payment, None if there is none.

        Raises the error of a store that does not answer if the other one has no decision.
        """
        unavailable: Exception | None = None
        if self._breaker.problem:
            unavailable = NotReadyError(
                f"transaction {transaction_id} is not in the decision log, and the online store is not in use: retry"
            )
        else:
            try:
                if kept := await self._stored.ask(transaction_id):
                    return unpack(kept)
            except ValkeyError as error:
                unavailable = error
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                record = await self._recorded.ask(transaction_id)
        except TimeoutError:
            raise OverloadedError("too many lookups wait for the decision log: retry") from None
        if record is None and unavailable:
            raise unavailable
        return record

    async def _in_store(self, ids: Sequence[int]) -> list[bytes | None]:
        found = await self._store.answers(list(dict.fromkeys(ids)))
        return [found.get(number) for number in ids]

    async def _in_log(self, ids: Sequence[int]) -> list[Record | None]:
        found = await self._log.find(list(dict.fromkeys(ids)))
        return [found.get(number) for number in ids]
