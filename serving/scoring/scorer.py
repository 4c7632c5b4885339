"""Score payments: whole while the online state is in use, degraded while it is not; each id has one answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from valkey.exceptions import ValkeyError

from serving.errors import KnownWithAnotherBodyError, UnfitStateError
from serving.model.champion import Champion
from serving.model.champion_watcher import Champions
from serving.online_store.store import Conflict
from serving.recovery.circuit_breaker import Online
from serving.scoring.degraded import WithoutHistory
from serving.scoring.micro_batcher import Together
from serving.scoring.online import CHUNK, WithHistory
from serving.scoring.payment import Payment
from serving.scoring.records import Record, explained

TOGETHER: Final = 64
"""Single payments in one round at most."""
ROUNDS_AT_ONCE: Final = 1
"""Two would share their costs among fewer payments each: measured, no faster."""
AWAY: Final = (ValkeyError, UnfitStateError)


class Scorer:
    """Scores single payments and batches.

    Methods raise `NotReadyError` without a model, or with neither the online state nor the decision log, and
    `KnownWithAnotherBodyError`.
    """

    def __init__(
        self, champions: Champions, online: Online, with_history: WithHistory, without_history: WithoutHistory
    ) -> None:
        self._champions = champions
        self._online = online
        self._with = with_history
        self._without = without_history
        self._together = Together(self._score_together, TOGETHER, ROUNDS_AT_ONCE)

    async def score(self, payment: Payment, explain: bool) -> Record:
        """Score one payment; a known one gets its first answer. Payments that come together share the two trips."""
        champion, record = await self._together.ask(payment)
        return explained(champion, record) if explain else record

    async def score_batch(self, payments: Sequence[Payment], explain: bool) -> list[Record]:
        """Score payments in order of time, answered in the order given; nothing is scored if one of them conflicts."""
        champion = self._champions.current
        first = _first_positions(payments)
        unique = sorted((payments[position] for position in first.values()), key=lambda payment: payment.place)
        found = dict(zip((one.transaction_id for one in unique), await self._all(champion, unique, first), strict=True))
        answers = [found[payment.transaction_id] for payment in payments]
        if explain:
            answers = await asyncio.to_thread(lambda: [explained(champion, record) for record in answers])
        return answers

    async def _score_together(self, payments: Sequence[Payment]) -> list[tuple[Champion, Record] | Exception]:
        """An answer for each of these, in the order in which they came; a conflict spares the others."""
        champion = self._champions.current
        answers = await self._each(champion, payments)
        return [
            _known(payment) if isinstance(answer, Conflict) else (champion, answer)
            for payment, answer in zip(payments, answers, strict=True)
        ]

    async def _each(self, champion: Champion, payments: Sequence[Payment]) -> Sequence[Record | Conflict]:
        while True:
            if not self._online.problem:
                try:
                    return await self._with.answer_each(champion, payments)
                except AWAY as error:
                    self._online.leave(error)
            async with self._online.without() as needed:
                if needed:
                    return await self._without.answer_each(champion, payments)

    async def _all(self, champion: Champion, unique: Sequence[Payment], first: dict[int, int]) -> Sequence[Record]:
        """Answers for a batch, each id once. Raises `KnownWithAnotherBodyError`, naming the payment's place."""
        if not self._online.problem:
            try:
                conflict = await self._with.reserve(unique)
                answers = [] if conflict is not None else await self._with.answer_all(champion, unique)
                return _without_conflicts(unique, answers, conflict, first)
            except AWAY as error:
                self._online.leave(error)
        conflict = await self._without.conflict(unique)
        answers = []
        for start in range(0, len(unique) if conflict is None else 0, CHUNK):
            # Each by itself: the state may be back before the batch is done.
            answers += await self._each(champion, unique[start : start + CHUNK])
        return _without_conflicts(unique, answers, conflict, first)


def _without_conflicts(
    payments: Sequence[Payment], answers: Sequence[Record | Conflict], conflict: int | None, first: dict[int, int]
) -> list[Record]:
    """The answers, having refused a payment whose id is known with another body."""
    if conflict is not None:
        raise _known(payments[conflict], first[payments[conflict].transaction_id])
    for payment, answer in zip(payments, answers, strict=True):
        if isinstance(answer, Conflict):
            raise _known(payment, first[payment.transaction_id])
    return [answer for answer in answers if not isinstance(answer, Conflict)]


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
