"""Score payments by the online state: claim, compute, keep. Two trips, whatever their number."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

from serving.clock import Clock
from serving.model.champion import Champion
from serving.observability.metrics import Metrics
from serving.online_store.store import Answered, Claim, Claimed, Conflict, OnlineState
from serving.recovery.recent_answers import Recent
from serving.scoring.features import compute_features
from serving.scoring.payment import Payment
from serving.scoring.records import Record, make_records, pack, unpack

CHUNK: Final = 250
"""Payments of a batch in one trip: bounds the memory for their histories, and how long others wait for Valkey."""
CHUNKS_AT_ONCE: Final = 2
"""Chunks of a batch under way: one computes while the other waits for Valkey."""


class WithHistory:
    """Scores whole. Methods raise `ValkeyError`, and `UnfitStateError` where the state cannot be used."""

    def __init__(self, state: OnlineState, recent: Recent, clock: Clock, metrics: Metrics) -> None:
        self._state = state
        self._recent = recent
        self._clock = clock
        self._metrics = metrics

    async def answer_each(self, champion: Champion, payments: Sequence[Payment]) -> list[Record | Conflict]:
        """An answer for each of these, in the order in which they came; a conflict spares the others."""
        self._metrics.rounds.observe(len(payments))
        with self._metrics.steps.labels("claim").time():
            claimed = await self._state.claim(payments)
        records = self._evaluate(champion, [one for one in claimed if isinstance(one, Claim)])
        return await self._settle(claimed, records)

    async def reserve(self, payments: Sequence[Payment]) -> int | None:
        """Take all these ids or none; the position of one that is known with another body."""
        return await self._state.reserve(payments)

    async def answer_all(self, champion: Champion, payments: Sequence[Payment]) -> list[Record | Conflict]:
        """Answers for many, each id once, in their order: chunk by chunk."""
        chunks = enumerate(payments[start : start + CHUNK] for start in range(0, len(payments), CHUNK))
        answers: dict[int, list[Record | Conflict]] = {}
        # While one chunk is computed the next is claimed: in their order, for each sees those before it.
        turn = asyncio.Lock()

        async def work_off() -> None:
            for number, chunk in chunks:
                async with turn:
                    claimed = await self._state.claim(chunk)
                claims = [one for one in claimed if isinstance(one, Claim)]
                # Away from the event loop: single payments must not wait for a batch's arithmetic.
                records = await asyncio.to_thread(self._evaluate, champion, claims)
                answers[number] = await self._settle(claimed, records)

        tasks = [asyncio.create_task(work_off()) for _ in range(CHUNKS_AT_ONCE)]
        try:
            await asyncio.gather(*tasks)
        finally:
            # None may go on keeping answers when the caller has begun to answer in another way.
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return [answer for number in sorted(answers) for answer in answers[number]]

    def _evaluate(self, champion: Champion, claims: list[Claim]) -> list[Record]:
        if not claims:
            return []
        with self._metrics.steps.labels("features").time():
            computed = compute_features(claims)
        self._metrics.late.inc(int(computed.late.sum()))
        self._metrics.degraded.inc(int(computed.degraded.sum()))
        with self._metrics.steps.labels("decide").time():
            return make_records(champion, claims, computed, self._clock())

    async def _settle(self, claimed: Sequence[Claimed], made: list[Record]) -> list[Record | Conflict]:
        """Keep what was made of the claims among these, and give for each payment the answer that was first."""
        payments = [one.payment for one in claimed if isinstance(one, Claim)]
        offered = [pack(record) for record in made]
        with self._metrics.steps.labels("keep").time():
            kept = await self._state.keep_answers(list(zip(payments, offered, strict=True)))
        for payment, answer in zip(payments, kept, strict=True):
            self._recent.add(payment.transaction_id, answer)
        first = iter([self._first(*one) for one in zip(made, offered, kept, strict=True)])
        return [self._given(one, first) for one in claimed]

    def _given(self, one: Claimed, first: Iterator[Record]) -> Record | Conflict:
        if isinstance(one, Claim):
            return next(first)
        return self._repeat(one.answer) if isinstance(one, Answered) else one

    def _first(self, record: Record, offered: bytes, found: bytes) -> Record:
        if found is not offered:
            return self._repeat(found)
        self._metrics.decisions.labels(record["decision"]).inc()
        return record

    def _repeat(self, answer: bytes) -> Record:
        self._metrics.repeated.inc()
        return unpack(answer)
