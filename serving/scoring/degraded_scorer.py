"""Score payments while the online store is unavailable: without history, recorded in the decision log alone.

`serving/recovery/circuit_breaker.py` says when this scorer is used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import psycopg

from contracts.online_state import pack_second
from serving.clock import Clock
from serving.decision_log.protocol import DecisionLog
from serving.errors import NotReadyError
from serving.model.champion import Champion
from serving.observability.metrics import Metrics
from serving.online_store.protocol import Claim, Conflict
from serving.recovery.recent_responses import RecentResponses
from serving.scoring.decision_records import Record, make_records, pack, unpack
from serving.scoring.features import compute_features
from serving.scoring.payment import Payment

FEW: Final = 64
LOOKED_UP: Final = 250
"""Payments of a batch that are looked up in one go: reading the rows keeps others waiting."""


class DegradedScorer:
    """Scores without history. A payment's first answer is the one in the log, whichever scorer receives it.

    Methods raise `NotReadyError` if the log is unavailable too.
    """

    def __init__(
        self,
        log: DecisionLog,
        recent: RecentResponses,
        clock: Clock,
        metrics: Metrics,
        backfill: Callable[[list[Record]], Awaitable[None]],
        stored_answers: Callable[[list[int]], Awaitable[dict[int, bytes]]],
    ) -> None:
        """`backfill` takes what was recorded, and writes it into the online store if that is possible at once.

        `stored_answers` finds answers in the store if it answers again: another scorer may use it already.
        """
        self._backfill = backfill
        self._stored_answers = stored_answers
        self._log = log
        self._recent = recent
        self._clock = clock
        self._metrics = metrics

    async def conflict(self, payments: Sequence[Payment]) -> int | None:
        """The index of the first payment whose id already exists with a different payload, None if there is none."""
        for start in range(0, len(payments), LOOKED_UP):
            part = payments[start : start + LOOKED_UP]
            known = await self._known(part)
            for index, payment in enumerate(part, start):
                if _conflicts(payment, known):
                    return index
        return None

    async def score_round(self, champion: Champion, payments: Sequence[Payment]) -> list[Record | Conflict]:
        """An answer for each payment, in order; a conflict affects only its own payment."""
        known = await self._known(payments)
        new = {one.transaction_id: one for one in reversed(payments) if one.transaction_id not in known}
        self._metrics.repeated.inc(len(payments) - len(new))
        answers = known | await self._score_new(champion, list(new.values()))
        return [Conflict() if _conflicts(one, answers) else answers[one.transaction_id] for one in payments]

    async def _known(self, payments: Sequence[Payment]) -> dict[int, Record]:
        """The existing answers of these ids, whatever their payloads."""
        ids = [payment.transaction_id for payment in payments]
        found = {number: unpack(kept) for number in ids if (kept := self._recent.get(number))}
        asked = [number for number in ids if number not in found]
        try:
            found |= await self._log.find(asked) if asked else {}
        except (psycopg.Error, OSError) as error:
            raise _both_unavailable(error) from error
        if unknown := [number for number in asked if number not in found]:
            for number, kept in (await self._stored_answers(unknown)).items():
                # Not known to be in the log.
                self._recent.add(number, kept)
                found[number] = unpack(kept)
        return found

    async def _score_new(self, champion: Champion, payments: Sequence[Payment]) -> dict[int, Record]:
        """Answers for payments that have none, each id once; one that another scorer recorded meanwhile comes first."""
        if not payments:
            return {}
        make = partial(self._make, champion, [_claim_alone(payment) for payment in payments])
        # Many at once are computed off the event loop.
        made = make() if len(payments) <= FEW else await asyncio.to_thread(make)
        records = {record["transaction_id"]: record for record in made}
        try:
            before = await self._log.record({number: pack(record) for number, record in records.items()})
        except (psycopg.Error, OSError) as error:
            raise _both_unavailable(error) from error
        recorded = [record for number, record in records.items() if number not in before]
        await self._backfill(recorded)
        self._metrics.degraded.inc(len(recorded))
        for record in recorded:
            self._metrics.decision(record["decision"]).inc()
        return records | before

    def _make(self, champion: Champion, claims: Sequence[Claim]) -> list[Record]:
        computed = compute_features(claims, champion.bundle.bank_zone)
        return make_records(champion, claims, computed, champion.scores(computed.matrix), self._clock())


def _conflicts(payment: Payment, known: dict[int, Record]) -> bool:
    """Whether a payment's id already exists with a different payload."""
    record = known.get(payment.transaction_id)
    return record is not None and Payment.recorded(record).body != payment.body


def _claim_alone(payment: Payment) -> Claim:
    """A claim whose histories hold only this payment, with the floor set to match.

    The payment gets its sequence number when it is backfilled.
    """
    floor = pack_second(payment.second)
    return Claim(payment, 0, floor + payment.customer_entry, floor + payment.terminal_entry)


def _both_unavailable(error: Exception) -> NotReadyError:
    return NotReadyError(
        f"neither the online store (Valkey) nor the decision log (PostgreSQL) answers ({type(error).__name__}): retry"
    )
