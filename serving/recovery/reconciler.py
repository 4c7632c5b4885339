"""Recovery of the online store: replay what it may have lost, backfill degraded payments, then close the breaker.

Replay and backfill are the same operation, `merge_decisions`: a history is a set of entries by position, so merging
them is idempotent and their order does not matter. What differs is which recorded decisions are read for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg
from valkey.exceptions import ValkeyError

from serving.clock import Clock
from serving.decision_log.protocol import ReconcilableLog
from serving.errors import OnlineStoreUnavailableError
from serving.observability.logging import event
from serving.observability.metrics import Metrics
from serving.online_store.protocol import ReconcilableStore
from serving.online_store.scripts import ANSWER_KEEP, NOT_RECONCILED
from serving.recovery.circuit_breaker import CircuitBreaker, State
from serving.recovery.recent_answers import RecentAnswers
from serving.retries import RECOVERY_SECONDS
from serving.scoring.decision_records import Record, pack
from serving.scoring.payment import Payment

SWEEP_SECONDS: Final = 1.0
CHUNK: Final = 250
AT_RISK_SECONDS: Final = 10.0
"""Answers given so long before a failure may be lost: an append-only file may lack its last seconds."""
LOG_ERRORS: Final = (psycopg.Error, OSError)
Read = Callable[[Record | None], Coroutine[Any, Any, list[Record]]]
"""Reads the next chunk of decisions, given the last one of the chunk before."""


class Reconciler:
    """Brings the online store up to date after a failure, and closes the breaker."""

    def __init__(
        self,
        breaker: CircuitBreaker,
        store: ReconcilableStore,
        log: ReconcilableLog,
        recent: RecentAnswers,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._breaker = breaker
        self._store = store
        self._log = log
        self._recent = recent
        self._clock = clock
        self._metrics = metrics
        self._run_id = ""
        self._recovered_run = ""
        self._reconciliation_id = b""
        # The trips for which these are done.
        self._numbers_raised = -1
        self._recent_saved = 0

    async def run(self) -> None:
        """Recover the store whenever the breaker has tripped, for ever."""
        while True:
            try:
                if not await self._breaker.needs_recovery(SWEEP_SECONDS):
                    await self._sweep()
                    continue
                with contextlib.suppress(*LOG_ERRORS):
                    await self._save_recent()
                if await self.try_recover():
                    continue
            except Exception:
                # An unexpected error is logged with its trace and retried; the breaker stays as it is.
                event("recovery failed", logging.ERROR, exc_info=True)
            await asyncio.sleep(RECOVERY_SECONDS)

    async def wait_until_ready(self) -> None:
        """Attempt recovery until it succeeds; another scorer may have to finish first."""
        while not await self.try_recover():
            await asyncio.sleep(RECOVERY_SECONDS)

    async def try_recover(self) -> bool:
        """Attempt recovery; True on success, with the breaker closed."""
        attempt = self._breaker.trips
        problem = NOT_RECONCILED
        try:
            self._run_id = await self._store.pin_run()
            problem = await self._store.incompatible()
            if problem not in ("", NOT_RECONCILED):
                raise OnlineStoreUnavailableError(problem)
            await self._raise_numbers(attempt)
            self._breaker.start_recovery()
            async with self._log.repair_lock() as alone:
                if not alone:
                    raise OnlineStoreUnavailableError("another scorer is bringing the online store up to date")
                await self._reconcile(lost=bool(problem))
                return await self._close(attempt)
        except LOG_ERRORS as error:
            if problem or self._may_lack(attempt):
                self._breaker.stay_open(error)
            else:
                # Nothing is known to be missing, and scoring with history is better than without.
                self._recovered_run = self._run_id
                self._breaker.close(recovered=False)
        except (ValkeyError, OnlineStoreUnavailableError) as error:
            self._breaker.stay_open(error)
        return False

    async def backfill(self, records: list[Record]) -> None:
        """Write payments that were just scored degraded into the store, if it answers again."""
        if self._breaker.state is not State.RECOVERING:
            return
        try:
            await self._merge_pending(records)
        except (ValkeyError, *LOG_ERRORS):
            # The log has them as pending backfill.
            self._breaker.stop_recovery()

    async def _sweep(self) -> None:
        """Backfill what a killed scorer left, and notice a restart or a loss of data that no payment met."""
        with contextlib.suppress(ValkeyError, *LOG_ERRORS):
            if (
                await self._store.current_run() != self._run_id
                # Lost, and recovered by another scorer.
                or await self._store.reconciliation_id() != self._reconciliation_id
            ):
                self._breaker.trip(OnlineStoreUnavailableError("Valkey was restarted, or lost its data"))
                return
            await self._backfill_pending()

    async def _save_recent(self) -> None:
        """Append the latest answers to the log, once after each trip: other scorers may be asked for them."""
        trips = self._breaker.trips
        if self._recent_saved != trips:
            await self._append_recent(self._recent.last(AT_RISK_SECONDS, self._breaker.tripped_at)[::-1])
            self._recent_saved = trips

    async def _raise_numbers(self, attempt: int) -> None:
        """Once after each trip: other scorers may know of numbers that the store forgot."""
        if self._numbers_raised != attempt:
            await self._store.advance_sequence(await self._log.highest(), forgotten=attempt > 0)
            self._numbers_raised = attempt

    def _may_lack(self, attempt: int) -> bool:
        """Whether the store may lack payments or answers."""
        restarted = self._recovered_run not in ("", self._run_id)
        return self._breaker.missed or self._breaker.trips != attempt or restarted

    async def _reconcile(self, *, lost: bool) -> None:
        """Write into the store what the log and this process know and it may lack; after a loss, everything."""
        at_risk = await self._at_risk(lost)
        await self._append_recent(at_risk)
        if lost:
            done = await _each_chunk(self._read_all(), self._merge)
            event("recorded decisions replayed into the online store", decisions=done)
        else:
            for ids in _chunks(at_risk):
                # As recorded: another scorer's answer may have come first.
                await self._merge(list((await self._log.find(ids)).values()))
            if (applied := await self._store.applied_before_recovery()) is not None:
                await _each_chunk(self._read_above(applied), self._merge)
        while await self._backfill_pending() >= CHUNK:
            pass
        await self._store.clear_applied_before_recovery()
        await self._store.may_have_expired(await self._log.highest_id())
        if lost:
            await self._store.mark_reconciled()
        self._reconciliation_id = await self._store.reconciliation_id()

    async def _close(self, attempt: int) -> bool:
        """Close the breaker, unless it tripped meanwhile; no degraded work of this process is in flight then."""
        async with self._breaker.without_degraded_work():
            await self._backfill_pending()
            if self._breaker.trips != attempt:
                return False
            self._recovered_run = self._run_id
            self._breaker.close(recovered=True)
            return True

    async def _at_risk(self, lost: bool) -> list[int]:
        """Payments that this process answered and the store may have forgotten."""
        if lost:
            return self._recent.last(math.inf, self._breaker.tripped_at)
        recovered_by_another = self._reconciliation_id not in (b"", await self._store.reconciliation_id())
        seconds = math.inf if recovered_by_another else AT_RISK_SECONDS
        recent = self._recent.last(seconds, self._breaker.tripped_at)
        # A store forgets its latest writes, and a payment's answer is written after everything else of it.
        return [number for ids in _chunks(recent) for number in await self._store.unanswered(ids)]

    async def _append_recent(self, ids: list[int]) -> None:
        for chunk in _chunks(ids):
            await self._log.append([kept for number in chunk if (kept := self._recent.get(number))])

    async def _backfill_pending(self) -> int:
        """Write the payments pending backfill into the store; how many they were."""

        async def read(last: Record | None) -> list[Record]:
            return await self._log.pending_backfill(last["transaction_id"] if last else -1, CHUNK)

        return await _each_chunk(read, self._merge_pending)

    def _read_all(self) -> Read:
        """Every decision whose answer is still repeated, up to now: later ones are backfilled as they are made."""
        until = self._clock()

        async def read(last: Record | None) -> list[Record]:
            after = (until - timedelta(seconds=ANSWER_KEEP), -1)
            if last:
                after = (datetime.fromisoformat(last["decided_at"]), last["transaction_id"])
            return await self._log.recorded(after, until, CHUNK)

        return read

    def _read_above(self, number: int) -> Read:
        """Every decision with a sequence number above one, whichever scorer made it."""

        async def read(last: Record | None) -> list[Record]:
            return await self._log.applied_after(last["applied"] if last else number, CHUNK)

        return read

    async def _merge_pending(self, records: list[Record]) -> None:
        if records:
            await self._log.mark_backfilled(await self._merge(records))
            self._metrics.repaired.inc(len(records))

    async def _merge(self, records: list[Record]) -> dict[int, int]:
        """Write recorded decisions into the store; the sequence number of each."""
        if not records:
            return {}
        numbers = await self._store.merge_decisions(
            [(Payment.recorded(record), pack(record), record["applied"]) for record in records]
        )
        return dict(zip((record["transaction_id"] for record in records), numbers, strict=True))


async def _each_chunk(read: Read, work: Callable[[list[Record]], Awaitable[object]]) -> int:
    """Work through all chunks; how many decisions they held. The next chunk is read while one is worked on."""
    done, chunk = 0, await read(None)
    while chunk:
        following = asyncio.create_task(read(chunk[-1]))
        try:
            await work(chunk)
            done, chunk = done + len(chunk), await following
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
    return done


def _chunks(ids: list[int]) -> Iterator[list[int]]:
    return (ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK))
