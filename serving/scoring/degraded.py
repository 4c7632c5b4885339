"""Score payments while the online state is away: on what each says of itself, recorded in the decision log alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import psycopg

from contracts.online_state import pack_second
from serving.clock import Clock
from serving.decision_log.log import DecisionLog
from serving.errors import NotReadyError
from serving.model.champion import Champion
from serving.observability.metrics import Metrics
from serving.online_store.store import Claim, Conflict
from serving.recovery.recent_answers import Recent
from serving.scoring.features import compute_features
from serving.scoring.payment import Payment
from serving.scoring.records import Record, make_records, pack, unpack

FEW: Final = 64


class WithoutHistory:
    """Scores degraded. A payment's first answer is the one in the log, so that it has one, whoever asks whom.

    Methods raise `NotReadyError` where the log is away too.
    """

    def __init__(
        self,
        log: DecisionLog,
        recent: Recent,
        clock: Clock,
        metrics: Metrics,
        put_in: Callable[[list[Record]], Awaitable[None]],
    ) -> None:
        """`put_in` is given what was recorded, to put it into the online state where that can be done at once."""
        self._put_in = put_in
        self._log = log
        self._recent = recent
        self._clock = clock
        self._metrics = metrics

    def _make(self, champion: Champion, claims: Sequence[Claim]) -> list[Record]:
        return make_records(champion, claims, compute_features(claims), self._clock())

    async def conflict(self, payments: Sequence[Payment]) -> int | None:
        """The position of one that is known with another body, None where there is none."""
        known = await self._known(payments)
        for position, payment in enumerate(payments):
            if _conflicts(payment, known):
                return position
        return None

    async def answer_each(self, champion: Champion, payments: Sequence[Payment]) -> list[Record | Conflict]:
        """An answer for each of these, in the order in which they came; a conflict spares the others."""
        known = await self._known(payments)
        new = {one.transaction_id: one for one in reversed(payments) if one.transaction_id not in known}
        self._metrics.repeated.inc(len(payments) - len(new))
        answers = known | await self._answer_new(champion, list(new.values()))
        return [Conflict() if _conflicts(one, answers) else answers[one.transaction_id] for one in payments]

    async def _known(self, payments: Sequence[Payment]) -> dict[int, Record]:
        """The answers that these payments had before, whatever their bodies were."""
        ids = [payment.transaction_id for payment in payments]
        found = {number: unpack(kept) for number in ids if (kept := self._recent.get(number))}
        asked = [number for number in ids if number not in found]
        try:
            return found | await self._log.find(asked) if asked else found
        except (psycopg.Error, OSError) as error:
            raise _both_away(error) from error

    async def _answer_new(self, champion: Champion, payments: Sequence[Payment]) -> dict[int, Record]:
        """Answers for payments that have none, each id once; what another scorer recorded meanwhile goes before."""
        if not payments:
            return {}
        claims = [_alone(payment) for payment in payments]
        make = partial(self._make, champion, claims)
        # Away from the event loop, where it is long.
        made = make() if len(claims) <= FEW else await asyncio.to_thread(make)
        records = {record["transaction_id"]: record for record in made}
        try:
            before = await self._log.record({number: pack(record) for number, record in records.items()})
        except (psycopg.Error, OSError) as error:
            raise _both_away(error) from error
        await self._put_in([record for number, record in records.items() if number not in before])
        self._metrics.degraded.inc(len(records) - len(before))
        for number, record in records.items():
            if number not in before:
                self._metrics.decisions.labels(record["decision"]).inc()
        return records | before


def _conflicts(payment: Payment, known: dict[int, Record]) -> bool:
    """Whether a payment's id is known with another body."""
    record = known.get(payment.transaction_id)
    return record is not None and Payment.recorded(record).body != payment.body


def _alone(payment: Payment) -> Claim:
    """A claim whose histories hold nothing but the payment, and say so. It is applied later, hence the number."""
    floor = pack_second(payment.second)
    return Claim(payment, 0, floor + payment.customer_entry, floor + payment.terminal_entry)


def _both_away(error: Exception) -> NotReadyError:
    return NotReadyError(
        f"neither the online state (Valkey) nor the decision log (PostgreSQL) answers ({type(error).__name__})"
    )
