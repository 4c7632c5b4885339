"""Score payments: claim, compute, answer. Two trips to the online state, whatever their number."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from serving.answers import Record, explained, make_records, pack, unpack
from serving.champions import Champions
from serving.clock import Clock
from serving.errors import KnownWithAnotherBodyError
from serving.features import compute_features
from serving.metrics import Metrics
from serving.model import Champion
from serving.payment import Payment
from serving.state import Answered, Claim, Claimed, Conflict, OnlineState
from serving.together import Together

CHUNK: Final = 250
"""Payments of a batch in one trip: bounds the memory for their histories, and how long others wait for Valkey."""
TOGETHER: Final = 64
"""Single payments in one round at most."""
ROUNDS_AT_ONCE: Final = 1
"""Two would share their costs among fewer payments each: measured, no faster."""
CHUNKS_AT_ONCE: Final = 2
"""Chunks of a batch under way: one computes while the other waits for Valkey."""


class Scorer:
    """Scores single payments and batches.

    Methods raise `NotReadyError` without a model or a fit state, `KnownWithAnotherBodyError`, and `ValkeyError`.
    """

    def __init__(self, state: OnlineState, champions: Champions, clock: Clock, metrics: Metrics) -> None:
        self._state = state
        self._champions = champions
        self._clock = clock
        self._metrics = metrics
        self._together = Together(self._score_together, TOGETHER, ROUNDS_AT_ONCE)

    async def score(self, payment: Payment, explain: bool) -> Record:
        """Score one payment; a known one gets its first answer. Payments that come together share the two trips."""
        champion, record = await self._together.ask(payment)
        return explained(champion, record) if explain else record

    async def _score_together(self, payments: Sequence[Payment]) -> list[tuple[Champion, Record] | Exception]:
        """An answer for each of these, in the order in which they came; a conflict spares the others."""
        champion = self._champions.current
        claimed = await self._state.claim(payments)
        records = self._evaluate(champion, [one for one in claimed if isinstance(one, Claim)])
        settled = iter(await self._settle(claimed, records))
        return [
            _known(payment) if isinstance(one, Conflict) else (champion, next(settled))
            for payment, one in zip(payments, claimed, strict=True)
        ]

    async def score_batch(self, payments: Sequence[Payment], explain: bool) -> list[Record]:
        """Score payments in order of time, answered in the order given; nothing is scored if one of them conflicts."""
        champion = self._champions.current
        first = _first_positions(payments)
        unique = sorted((payments[position] for position in first.values()), key=lambda payment: payment.place)
        if (conflict := await self._state.reserve(unique)) is not None:
            raise _known(unique[conflict], first[unique[conflict].transaction_id])
        chunks = (unique[start : start + CHUNK] for start in range(0, len(unique), CHUNK))
        answers: dict[int, Record] = {}
        # While one chunk is computed the next is claimed: in their order, for each sees those before it.
        turn = asyncio.Lock()

        async def work_off() -> None:
            for chunk in chunks:
                answers.update(await self._score_chunk(champion, chunk, explain, turn))

        await asyncio.gather(*(work_off() for _ in range(CHUNKS_AT_ONCE)))
        return [answers[payment.transaction_id] for payment in payments]

    async def _score_chunk(
        self, champion: Champion, chunk: list[Payment], explain: bool, turn: asyncio.Lock
    ) -> dict[int, Record]:
        async with turn:
            claimed = await self._state.claim(chunk)
        # Away from the event loop: single payments must not wait for a batch's arithmetic.
        records = await asyncio.to_thread(self._evaluate, champion, _to_answer(chunk, claimed))
        settled = await self._settle(claimed, records)
        if explain:
            settled = await asyncio.to_thread(lambda: [explained(champion, record) for record in settled])
        return {payment.transaction_id: record for payment, record in zip(chunk, settled, strict=True)}

    def _evaluate(self, champion: Champion, claims: list[Claim]) -> list[Record]:
        if not claims:
            return []
        computed = compute_features(claims)
        self._metrics.late.inc(int(computed.late.sum()))
        self._metrics.degraded.inc(int(computed.degraded.sum()))
        return make_records(champion, claims, computed, self._clock())

    async def _settle(self, claimed: Sequence[Claimed], made: list[Record]) -> list[Record]:
        """Keep what was made of the claims among these, and give for each payment the answer that was first."""
        payments = [one.payment for one in claimed if isinstance(one, Claim)]
        offered = [pack(record) for record in made]
        kept = await self._state.keep_answers(list(zip(payments, offered, strict=True)))
        first = iter([self._first(*one) for one in zip(made, offered, kept, strict=True)])
        return [
            self._repeat(one.answer) if isinstance(one, Answered) else next(first)
            for one in claimed
            if not isinstance(one, Conflict)
        ]

    def _first(self, record: Record, offered: bytes, found: bytes) -> Record:
        if found is not offered:
            return self._repeat(found)
        self._metrics.decisions.labels(record["decision"]).inc()
        return record

    def _repeat(self, answer: bytes) -> Record:
        self._metrics.repeated.inc()
        return unpack(answer)


def _to_answer(payments: Sequence[Payment], claimed: Sequence[Claimed]) -> list[Claim]:
    """The claims among these, having refused what is known with another body."""
    claims = []
    for payment, one in zip(payments, claimed, strict=True):
        if isinstance(one, Claim):
            claims.append(one)
        elif not isinstance(one, Answered):
            raise _known(payment)
    return claims


def _first_positions(payments: Sequence[Payment]) -> dict[int, int]:
    """The position at which each id comes first. Raises `KnownWithAnotherBodyError` where an id has two bodies."""
    first: dict[int, int] = {}
    for position, payment in enumerate(payments):
        earlier = first.setdefault(payment.transaction_id, position)
        if payments[earlier].body != payment.body:
            raise KnownWithAnotherBodyError(
                f"transactions.{position}: transaction {payment.transaction_id} "
                f"has another body at transactions.{earlier}"
            )
    return first


def _known(payment: Payment, position: int | None = None) -> KnownWithAnotherBodyError:
    where = "" if position is None else f"transactions.{position}: "
    return KnownWithAnotherBodyError(f"{where}transaction {payment.transaction_id} is known with another body")
