"""Whether the online state is in use: left at the first failure, taken up again once nothing is missing in it.

While it is out of use payments are scored without history, and recorded in the decision log alone. Before it is taken
up again they are put into it; so is what was answered just before it failed, for a store that dies may forget its last
second. If it lost all its data, every recorded decision is put in, beside what `write_online_state` wrote. At the very
end degraded work waits for a moment, so that none of it is left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg
from valkey.exceptions import ResponseError, ValkeyError

from serving.clock import Clock
from serving.decision_log.log import DecisionLog
from serving.errors import UnfitStateError
from serving.observability.logging import event
from serving.observability.metrics import Metrics
from serving.online_store.scripts import ANSWER_KEEP, NOT_ADOPTED
from serving.online_store.store import OnlineState
from serving.recovery.recent_answers import Recent
from serving.scoring.payment import Payment
from serving.scoring.records import Record, pack

PROBE_SECONDS: Final = 0.25
AT_ONCE: Final = 250
SWEEP_SECONDS: Final = 1.0
AT_RISK_SECONDS: Final = 10.0
GATE_SECONDS: Final = 5.0
"""How long new payments may wait for degraded ones to end; then the state stays out of use a while longer."""
UNTIL_THEN: Final = "payments are scored without history, degraded, and put into it afterwards"


class Online:
    """Knows whether the online state is in use, and brings it back."""

    def __init__(self, state: OnlineState, log: DecisionLog, recent: Recent, clock: Clock, metrics: Metrics) -> None:
        self._state = state
        self._log = log
        self._recent = recent
        self._clock = clock
        self._metrics = metrics
        self._problem = "it has not been looked at yet"
        self._mending = False
        self._left = asyncio.Event()
        self._left.set()
        self._left_at = math.inf
        self._times_left = 0
        self._raised = -1
        self._saved = 0
        self._run_id = ""
        self._sound = ""
        self._adoption = b""
        self._degraded_since = False
        self._at_work = 0
        self._nobody_at_work = asyncio.Event()
        self._nobody_at_work.set()
        self._gate = asyncio.Event()
        self._gate.set()
        metrics.online.set(0)

    @property
    def problem(self) -> str:
        """Why the state is not in use, empty while it is."""
        return self._problem

    def leave(self, error: Exception) -> None:
        """Use the state no more until it is sound again."""
        self._times_left += 1
        self._mending = False
        if not self._problem:
            self._left_at = time.monotonic()
        self._say(_why(error))
        self._left.set()

    @asynccontextmanager
    async def without(self) -> AsyncIterator[bool]:
        """Work without the state; False where it is in use again, and the work is to be done with it."""
        await self._gate.wait()
        if not self._problem:
            yield False
            return
        self._degraded_since = True
        self._at_work += 1
        self._nobody_at_work.clear()
        try:
            yield True
        finally:
            self._at_work -= 1
            if not self._at_work:
                self._nobody_at_work.set()

    async def run(self) -> None:
        """Bring the state back whenever it was left, for ever."""
        while True:
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(SWEEP_SECONDS):
                        await self._left.wait()
                if not self._left.is_set():
                    await self._sweep()
                    continue
                with contextlib.suppress(psycopg.Error, OSError):
                    await self._save_recent()
                if await self.look():
                    continue
            except Exception:
                # Whatever it is, it is logged whole and tried again: the state stays as it is, in use or left.
                event("online state not looked at", logging.ERROR, exc_info=True)
            await asyncio.sleep(PROBE_SECONDS)

    async def settle(self) -> None:
        """Look until the state is in use: beside other scorers, that may be after one of them has repaired it."""
        while not await self.look():
            await asyncio.sleep(PROBE_SECONDS)

    async def put_in(self, records: list[Record]) -> None:
        """Put payments that were just scored without history into the state, once it answers again.

        So that what is to be put in gets less while it is brought up to date, however many payments come.
        """
        if not self._mending:
            return
        try:
            await self._apply(records)
        except (ValkeyError, psycopg.Error, OSError):
            # They stand among the unapplied, and will be looked for there.
            self._mending = False

    async def _sweep(self) -> None:
        """Put in what a worker left that was killed, and see to it that this is the Valkey that it was."""
        with contextlib.suppress(ValkeyError, psycopg.Error, OSError):
            # It came back, or another in its place, before anybody had found it away; or lost all, and was repaired.
            if await self._state.present_run() != self._run_id or await self._state.adoption() != self._adoption:
                self.leave(UnfitStateError("Valkey was started anew, or lost its data"))
                return
            await self._adopt_unapplied()

    async def look(self) -> bool:
        """Try to take the state up again, having put into it what it lacks; whether nothing is left to do."""
        began = self._times_left
        unfit = NOT_ADOPTED
        try:
            self._run_id = await self._state.accept_run()
            unfit = await self._state.unfit()
            if unfit not in ("", NOT_ADOPTED):
                raise UnfitStateError(unfit)
            if self._raised != began:
                await self._state.raise_applied(await self._log.highest(), forgotten=began > 0)
                self._raised = began
            self._mending = True
            async with self._log.only_one() as alone:
                if not alone:
                    raise UnfitStateError("another scorer is bringing it up to date")
                await self._repair(lost=bool(unfit))
                return await self._take_up(began)
        except (psycopg.Error, OSError) as error:
            if (
                unfit
                or self._degraded_since
                or self._times_left != began
                or self._run_id != (self._sound or self._run_id)
            ):
                self._say(_why(error))
            else:
                # Nothing is known to be missing, and a payment is better scored by what is there.
                self._sound = self._run_id
                self._say("")
        except (ValkeyError, UnfitStateError) as error:
            self._say(_why(error))
        return False

    async def _repair(self, *, lost: bool) -> None:
        """Put into the state what the decision log and this process know."""
        for ids in _parts(await self._at_risk(lost)):
            # The stream may have lost them too.
            await self._log.append([kept for number in ids if (kept := self._recent.get(number))])
            if not lost:
                # As they are recorded: what another scorer recorded first is what counts.
                await self._adopt(list((await self._log.find(ids)).values()))
        if lost:
            await self._adopt_all()
        elif (known_to := await self._state.known_to()) is not None:
            await self._adopt_forgotten(known_to)
        while await self._adopt_unapplied() >= AT_ONCE:
            pass
        await self._state.forget_known_to()
        if lost:
            await self._state.mark_adopted()
        self._adoption = await self._state.adoption()

    async def _at_risk(self, lost: bool) -> list[int]:
        """Payments that this process answered and the state may have forgotten."""
        if lost:
            return self._recent.last(math.inf, self._left_at)
        forgotten = self._adoption not in (b"", await self._state.adoption())
        at_risk = self._recent.last(math.inf if forgotten else AT_RISK_SECONDS, self._left_at)
        # What it forgets is the end of what it was told, and a payment's answer comes after all else of it.
        return [number for ids in _parts(at_risk) for number in await self._state.unanswered(ids)]

    async def _take_up(self, began: int) -> bool:
        """Use the state again, unless it was left meanwhile; no degraded work is under way at that moment."""
        self._gate.clear()
        try:
            async with asyncio.timeout(GATE_SECONDS):
                await self._nobody_at_work.wait()
            # Those of this process; others see to their own.
            await self._adopt_unapplied()
            if self._times_left != began:
                return False
            self._left.clear()
            self._left_at, self._degraded_since, self._sound = math.inf, False, self._run_id
            self._say("")
            return True
        except TimeoutError as error:
            raise UnfitStateError("payments without history take too long to end") from error
        finally:
            self._gate.set()

    async def _adopt_all(self) -> None:
        """Every decision whose answer would still be repeated."""
        # What is decided from now on is put in when it is decided.
        until = self._clock()

        async def read(last: Record | None) -> list[Record]:
            after = (until - timedelta(seconds=ANSWER_KEEP), -1)
            if last:
                after = (datetime.fromisoformat(last["decided_at"]), last["transaction_id"])
            return await self._log.recorded(after, until, AT_ONCE)

        done = await _each_part(read, self._adopt)
        event("recorded decisions put into the online state", decisions=done)

    async def _adopt_forgotten(self, known_to: int) -> None:
        """What is recorded with numbers that the state knows nothing of, whoever answered it."""

        async def read(last: Record | None) -> list[Record]:
            return await self._log.applied_after(last["applied"] if last else known_to, AT_ONCE)

        await _each_part(read, self._adopt)

    async def _save_recent(self) -> None:
        """Once for each time that the state is left: others are asked again for what this process has just answered."""
        if self._saved == self._times_left:
            return
        saved = self._times_left
        for ids in _parts(self._recent.last(AT_RISK_SECONDS, self._left_at)[::-1]):
            await self._log.append([kept for number in ids if (kept := self._recent.get(number))])
        self._saved = saved

    async def _adopt_unapplied(self) -> int:
        """Payments that were scored without the state; how many."""

        async def read(last: Record | None) -> list[Record]:
            return await self._log.unapplied(last["transaction_id"] if last else -1, AT_ONCE)

        return await _each_part(read, self._apply)

    async def _apply(self, records: list[Record]) -> None:
        if records:
            await self._log.apply(await self._adopt(records))
            self._metrics.repaired.inc(len(records))

    async def _adopt(self, records: list[Record]) -> dict[int, int]:
        if not records:
            return {}
        numbers = await self._state.adopt(
            [(Payment.recorded(record), pack(record), record["applied"]) for record in records]
        )
        return dict(zip((record["transaction_id"] for record in records), numbers, strict=True))

    def _say(self, problem: str) -> None:
        """Log that the state is left, each new reason why it stays so, and that it is back."""
        if problem and not self._problem:
            event("online state left", logging.WARNING, reason=problem, until_then=UNTIL_THEN)
        elif problem and problem != self._problem:
            event("online state not in use yet", reason=problem)
        elif self._problem and not problem:
            event("online state in use")
        self._problem = problem
        self._metrics.online.set(not problem)


async def _each_part(
    read: Callable[[Record | None], Coroutine[Any, Any, list[Record]]],
    work: Callable[[list[Record]], Awaitable[object]],
) -> int:
    """Work through all that can be read, a part at a time, each read after the last one's end; how many there were.

    The next part is read while one is worked on: both are mostly waiting, and the payments that come meanwhile go on.
    """
    done, part = 0, await read(None)
    while part:
        following = asyncio.create_task(read(part[-1]))
        try:
            await work(part)
            done, part = done + len(part), await following
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
    return done


def _parts(ids: list[int]) -> Iterator[list[int]]:
    return (ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE))


def _why(error: Exception) -> str:
    if isinstance(error, UnfitStateError):
        return str(error)
    if isinstance(error, ResponseError):
        return f"Valkey refuses: {type(error).__name__}: {error}".strip()
    what = "PostgreSQL" if isinstance(error, psycopg.Error) else "Valkey"
    return f"{what} does not answer: {type(error).__name__}: {error}".strip()
