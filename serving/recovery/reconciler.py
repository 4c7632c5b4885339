"""Recovery of the online store: replay what it may have lost, backfill degraded payments, then close the breaker.

At risk is what only this process may know: every answer and report that is not known to be in the decision log,
whatever its age. It is appended to the log first (`record_unconfirmed.py`); then the log is merged into the store
(`replay.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final

import psycopg
from valkey.exceptions import ValkeyError

from serving.decision_log.protocol import ReconcilableLog
from serving.errors import OnlineStoreUnavailableError
from serving.observability.logging import event
from serving.observability.metrics import Metrics
from serving.online_store.protocol import ReconcilableStore
from serving.online_store.scripts import NOT_RECONCILED
from serving.recovery.circuit_breaker import CircuitBreaker, State
from serving.recovery.confirmer import UnconfirmedReports
from serving.recovery.recent_responses import RecentResponses
from serving.recovery.record_unconfirmed import UnconfirmedRecorder
from serving.recovery.replay import CHUNK, Replay, chunks
from serving.retries import RECOVERY_SECONDS
from serving.scoring.decision_records import Record

SWEEP_SECONDS: Final = 1.0
LOG_ERRORS: Final = (psycopg.Error, OSError)


class Reconciler:
    """Brings the online store up to date after a failure, and closes the breaker."""

    def __init__(
        self,
        breaker: CircuitBreaker,
        store: ReconcilableStore,
        log: ReconcilableLog,
        recent: RecentResponses,
        reports: UnconfirmedReports,
        metrics: Metrics,
    ) -> None:
        self._breaker = breaker
        self._store = store
        self._log = log
        self._replay = Replay(store, log, metrics)
        self._recorder = UnconfirmedRecorder(log, recent, reports)
        self._run_id = ""
        self._recovered_run = ""
        self._reconciliation_id = b""
        self._sequence = 0
        self._went_back = False
        # The trip count for which recent answers were saved; and the trip count and Valkey run id for which sequence
        # numbers were raised.
        self._recent_saved = 0
        self._numbers_raised = (-1, "")

    async def run(self) -> None:
        """Recover the store whenever the breaker has tripped, until cancelled."""
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
            self._recovered_run = self._recovered_run or await self._store.recovered_run()
            problem = await self._store.incompatible()
            if problem not in ("", NOT_RECONCILED):
                raise OnlineStoreUnavailableError(problem)
            await self._raise_numbers(attempt)
            self._breaker.start_recovery()
            async with self._log.recovery_lock() as alone:
                if not alone:
                    raise OnlineStoreUnavailableError("another scorer is bringing the online store up to date")
                await self._reconcile(lost=bool(problem) or self._went_back)
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
            await self._replay.merge_pending(records)
        except (ValkeyError, *LOG_ERRORS):
            # The log has them as pending backfill.
            self._breaker.stop_recovery()

    async def stored_answers(self, ids: list[int]) -> dict[int, bytes]:
        """The answers to these payments in the store, if it answers again: another scorer may use it already."""
        found: dict[int, bytes] = {}
        if self._breaker.state is State.RECOVERING:
            try:
                for asked in chunks(ids):
                    found |= await self._store.answers(asked)
            except ValkeyError:
                self._breaker.stop_recovery()
        return found

    async def _sweep(self) -> None:
        """Backfill what a killed scorer left, and detect what no payment has run into: a restart, data loss, a server
        whose settings now rule it out, or a stamp that no longer matches, for example after a champion for another
        zone.
        """
        with contextlib.suppress(ValkeyError, OnlineStoreUnavailableError, *LOG_ERRORS):
            if (
                await self._store.current_run() != self._run_id
                # Lost, and recovered by another scorer.
                or await self._store.reconciliation_id() != self._reconciliation_id
                or await self._has_gone_back()
            ):
                self._breaker.trip(OnlineStoreUnavailableError("Valkey was restarted, or lost its data"))
                return
            problem = await self._store.incompatible()
            if problem not in ("", NOT_RECONCILED):
                self._breaker.trip(OnlineStoreUnavailableError(problem))
                return
            await self._replay.pending()

    async def _has_gone_back(self) -> bool:
        """Whether the server runs on with older data, for example after it replicated another one."""
        before, self._sequence = self._sequence, await self._store.sequence()
        gone_back = self._sequence < before
        # Stays set until recovery: sequence numbers were assigned before the rollback was noticed, so the counter does
        # not show what is missing.
        self._went_back |= gone_back
        return gone_back

    async def _save_recent(self) -> None:
        """Append what is at risk to the log, once after each trip: other scorers may be asked for it."""
        trips = self._breaker.trips
        if self._recent_saved != trips:
            await self._recorder.save()
            self._recent_saved = trips

    async def _raise_numbers(self, attempt: int) -> None:
        """Raise the sequence counter once after each trip, and again if the store loses it: other scorers may have seen
        higher numbers.
        """
        raised = self._numbers_raised == (attempt, self._run_id)
        if raised and not await self._has_gone_back():
            return
        forgotten = attempt > 0 or self._restarted()
        await self._store.advance_sequence(await self._log.highest(), forgotten=forgotten)
        self._numbers_raised, self._sequence = (attempt, self._run_id), await self._store.sequence()

    def _may_lack(self, attempt: int) -> bool:
        """Whether the store may lack payments or answers."""
        return self._breaker.missed or self._breaker.trips != attempt or self._restarted() or self._went_back

    def _restarted(self) -> bool:
        """Whether Valkey was restarted since the last recovery, by this scorer or, at its start, by any."""
        return self._recovered_run not in ("", self._run_id)

    async def _reconcile(self, *, lost: bool) -> None:
        """Write into the store what the log and this process know and it may lack; after a loss, everything."""
        token = await self._store.start_recovery()
        await self._recorder.save()
        if lost:
            event("recorded decisions replayed into the online store", decisions=await self._replay.everything())
        else:
            await self._replay.these(self._recorder.responses)
            if (applied := await self._store.applied_before_recovery()) is not None:
                await self._replay.above(applied)
        await self._store.merge_reports(self._recorder.reports)
        while await self._replay.pending() >= CHUNK:
            pass
        await self._store.may_have_expired(await self._log.highest_id())
        await self._store.finish_recovery(token, lost=lost)
        self._reconciliation_id = await self._store.reconciliation_id()
        self._sequence, self._went_back = 0, False

    async def _close(self, attempt: int) -> bool:
        """Close the breaker, unless it tripped meanwhile; no degraded work of this process is in flight then."""
        async with self._breaker.without_degraded_work():
            await self._replay.pending()
            if self._breaker.trips != attempt:
                return False
            self._recovered_run = self._run_id
            self._recorder.forget()
            self._breaker.close(recovered=True)
            return True
