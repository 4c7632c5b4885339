"""Score payments with history while the online store is in use, degraded otherwise; each id has one answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from typing import Final

from valkey.exceptions import ValkeyError

from serving.decision_log.backpressure import WAIT_SECONDS, Backpressure
from serving.errors import IdempotencyConflictError, OnlineStoreUnavailableError, OverloadedError
from serving.fair_queuing import FairTurns
from serving.model.champion import Champion
from serving.model.champion_watcher import ChampionWatcher
from serving.online_store.protocol import Conflict
from serving.recovery.circuit_breaker import CircuitBreaker, State
from serving.scoring.decision_records import Record, explained
from serving.scoring.degraded_scorer import DegradedScorer
from serving.scoring.micro_batcher import MicroBatcher
from serving.scoring.online_scorer import CHUNK, OnlineScorer
from serving.scoring.payment import Payment

ROUND_SIZE: Final = 64
"""Single payments in one round, at most."""
ROUNDS_AT_ONCE: Final = 1
"""With two, fewer payments would share the cost of each round; measured to be no faster."""
EXPLAINED_AT_ONCE: Final = 100
"""Payments of a batch explained in one go, one batch at a time: every thread that computes keeps payments waiting."""
LARGE_EXPLAINED: Final = 500
"""Batches of more payments than this are scored one at a time if all reasons are requested: the reasons of 5,000
payments take 100 MB."""
EXPLAIN_WAIT_SECONDS: Final = 30.0
"""How long such a batch waits for the others."""
BATCHES_AT_ONCE: Final = 2
"""Batches that reserve their ids, or are scored degraded, at a time: more would take the connections that single
payments need."""
UNAVAILABLE: Final = (ValkeyError, OnlineStoreUnavailableError)


class Scorer:
    """Scores single payments and batches.

    Methods raise `IdempotencyConflictError`. They raise `NotReadyError` if there is no model, if both stores are
    unavailable, or if the stores are nearly full.
    """

    def __init__(
        self,
        champions: ChampionWatcher,
        breaker: CircuitBreaker,
        online: OnlineScorer,
        degraded: DegradedScorer,
        backpressure: Backpressure,
    ) -> None:
        self._champions = champions
        self._breaker = breaker
        self._online = online
        self._degraded = degraded
        self._backpressure = backpressure
        self._explaining = FairTurns(1)
        self._large_explained = FairTurns(1, EXPLAIN_WAIT_SECONDS)
        self._reserving = FairTurns(BATCHES_AT_ONCE)
        self._without_store = FairTurns(BATCHES_AT_ONCE, WAIT_SECONDS)
        self._batcher: MicroBatcher[Payment, Record | Conflict] = MicroBatcher(
            self._score_some, ROUND_SIZE, ROUNDS_AT_ONCE
        )

    async def score(self, payment: Payment, explain: bool) -> Record:
        """Score one payment, in a round with others that wait; a repeated one gets its first answer."""
        if self._backpressure.full and self._breaker.closed:
            raise OverloadedError(f"payments are rejected for now: {self._backpressure.problem}")
        answer = await self._batcher.ask(payment)
        if isinstance(answer, Conflict):
            raise _conflict(payment)
        return explained(self._champions.current, answer) if explain else answer

    async def score_batch(self, payments: Sequence[Payment], explain: bool) -> list[Record]:
        """Score payments in order of time, answered in the order given; none is scored if one conflicts."""
        champion = self._champions.current
        if not payments:
            # The store's scripts need one.
            return []
        if not explain:
            return await self._score_batch(champion, payments)
        async with self._large_explained if len(payments) > LARGE_EXPLAINED else nullcontext():
            return await self._explain_all(champion, await self._score_batch(champion, payments))

    async def _score_batch(self, champion: Champion, payments: Sequence[Payment]) -> list[Record]:
        first = _first_indexes(payments)
        unique = sorted((payments[index] for index in first.values()), key=lambda payment: payment.position)
        # Degraded payments go to PostgreSQL, not to the outbox.
        async with self._backpressure.batch(len(unique)) if self._breaker.closed else nullcontext():
            records = await self._score_unique(champion, unique, first)
        found = {record["transaction_id"]: record for record in records}
        return [found[payment.transaction_id] for payment in payments]

    async def _explain_all(self, champion: Champion, records: Sequence[Record]) -> list[Record]:
        """The records with all reasons."""
        done: list[Record] = []
        for start in range(0, len(records), EXPLAINED_AT_ONCE):
            part = records[start : start + EXPLAINED_AT_ONCE]
            async with self._explaining:
                done += await asyncio.to_thread(_explain, champion, part)
        return done

    async def _score_some(self, payments: Sequence[Payment]) -> Sequence[Record | Conflict]:
        """Answers for the first single payments of a round, at least one."""
        return await self._score_round(self._champions.current, payments, self._online.score_some)

    async def _score_round(
        self,
        champion: Champion,
        payments: Sequence[Payment],
        online: Callable[[Champion, Sequence[Payment]], Awaitable[Sequence[Record | Conflict]]],
    ) -> Sequence[Record | Conflict]:
        """Answers in order, by `online` or degraded; a conflict affects only its own payment."""
        while True:
            if self._breaker.state is State.CLOSED:
                try:
                    return await online(champion, payments)
                except UNAVAILABLE as error:
                    self._breaker.trip(error)
            async with self._breaker.degraded() as still_open:
                if still_open:
                    return await self._degraded.score_round(champion, payments)

    async def _score_unique(
        self, champion: Champion, unique: Sequence[Payment], first: dict[int, int]
    ) -> Sequence[Record]:
        """Answers for a batch, each id once. Raises `IdempotencyConflictError`, naming the payment's index."""
        try:
            async with self._reserving:
                # Asked only now: the store may have failed while this batch waited.
                in_use = self._breaker.state is State.CLOSED
                conflict = await self._online.reserve(unique) if in_use else None
            if in_use:
                answers = [] if conflict is not None else await self._online.score_all(champion, unique)
                return _without_conflicts(unique, answers, conflict, first)
        except UNAVAILABLE as error:
            self._breaker.trip(error)
        return await self._score_without_store(champion, unique, first)

    async def _score_without_store(
        self, champion: Champion, unique: Sequence[Payment], first: dict[int, int]
    ) -> Sequence[Record]:
        """The same while the store is not in use."""
        async with self._without_store:
            conflict = await self._degraded.conflict(unique)
            answers: list[Record | Conflict] = []
            for start in range(0, len(unique) if conflict is None else 0, CHUNK):
                # Each chunk separately: the breaker may close before the batch is done.
                answers += await self._score_round(champion, unique[start : start + CHUNK], self._online.score_round)
            return _without_conflicts(unique, answers, conflict, first)


def _explain(champion: Champion, records: Sequence[Record]) -> list[Record]:
    return [explained(champion, record) for record in records]


def _without_conflicts(
    payments: Sequence[Payment], answers: Sequence[Record | Conflict], conflict: int | None, first: dict[int, int]
) -> list[Record]:
    """The answers, if no payment conflicts. Raises `IdempotencyConflictError`."""
    if conflict is not None:
        raise _conflict(payments[conflict], first[payments[conflict].transaction_id])
    for payment, answer in zip(payments, answers, strict=True):
        if isinstance(answer, Conflict):
            raise _conflict(payment, first[payment.transaction_id])
    return [answer for answer in answers if not isinstance(answer, Conflict)]


def _first_indexes(payments: Sequence[Payment]) -> dict[int, int]:
    """The index at which each id comes first. Raises `IdempotencyConflictError` if an id has two payloads."""
    first: dict[int, int] = {}
    for index, payment in enumerate(payments):
        earlier = first.setdefault(payment.transaction_id, index)
        if earlier != index and payments[earlier].body != payment.body:
            raise IdempotencyConflictError(
                f"transactions.{index}: transaction {payment.transaction_id} "
                f"has a different payload at transactions.{earlier}"
            )
    return first


def _conflict(payment: Payment, index: int | None = None) -> IdempotencyConflictError:
    where = "" if index is None else f"transactions.{index}: "
    return IdempotencyConflictError(
        f"{where}transaction {payment.transaction_id} already exists with a different payload"
    )
