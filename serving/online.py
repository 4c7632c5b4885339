"""Whether the online state is in use: left at the first failure, taken up again once nothing is missing in it.

While it is out of use payments are scored without history, and recorded in the decision log alone. Before it is taken
up again they are put into it; so is what was answered just before it failed, for a store that dies may forget its last
second. If it lost all its data, every recorded decision is put in, beside what `write_online_state` wrote.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from datetime import datetime, timedelta
from typing import Final

import psycopg
from valkey.exceptions import ValkeyError

from contracts.transaction import EPOCH
from serving.answers import Record, pack, unpack
from serving.clock import Clock
from serving.decisions import DecisionLog
from serving.errors import UnfitStateError
from serving.logs import event
from serving.metrics import Metrics
from serving.payment import Payment
from serving.recent import Recent
from serving.scripts import ANSWER_KEEP, NOT_ADOPTED
from serving.state import OnlineState

PROBE_SECONDS: Final = 0.25
AT_ONCE: Final = 250
AT_RISK_SECONDS: Final = 10.0
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
        self._left_at = math.inf
        self._repaired = False
        self._left = asyncio.Event()
        self._left.set()
        metrics.online.set(0)

    @property
    def problem(self) -> str:
        """Why the state is not in use, empty while it is."""
        return self._problem

    def leave(self, error: Exception) -> None:
        """Use the state no more until it is sound again."""
        if not self._problem:
            self._left_at, self._repaired = time.monotonic(), False
        self._say(_why(error))
        self._left.set()

    async def run(self) -> None:
        """Bring the state back whenever it was left, for ever."""
        while True:
            await self._left.wait()
            await self.look()
            if self._repaired and not self._problem:
                self._left.clear()
            else:
                await asyncio.sleep(PROBE_SECONDS)

    async def look(self) -> None:
        """Try to take the state up again, having put into it what it lacks."""
        unfit = NOT_ADOPTED
        try:
            unfit = await self._state.unfit()
            if unfit not in ("", NOT_ADOPTED):
                raise UnfitStateError(unfit)
            await self._repair(lost=bool(unfit))
        except (psycopg.Error, OSError) as error:
            # Nobody knows then whether anything is missing, and a payment is better scored by what is there.
            if unfit:
                self._say(_why(error))
                return
        except (ValkeyError, UnfitStateError) as error:
            self._say(_why(error))
            return
        self._say("")

    async def _repair(self, *, lost: bool) -> None:
        """Put into the state what the decision log and this process know; `_repaired` says whether it was done."""
        at_risk = self._recent.since(-math.inf if lost else self._left_at - AT_RISK_SECONDS)
        for start in range(0, len(at_risk), AT_ONCE):
            # The stream may have lost them too.
            await self._log.append(at_risk[start : start + AT_ONCE])
        async with self._log.only_one() as alone:
            if not alone:
                raise UnfitStateError("another scorer is bringing it up to date")
            if lost:
                await self._adopt_all()
                await self._state.mark_adopted()
            for start in range(0, len(at_risk), AT_ONCE):
                await self._adopt([unpack(answer) for answer in at_risk[start : start + AT_ONCE]])
            await self._adopt_unapplied()
        self._left_at, self._repaired = math.inf, True

    async def _adopt_all(self) -> None:
        """Every decision whose answer would still be repeated."""
        since, after, done = self._clock() - timedelta(seconds=ANSWER_KEEP), (EPOCH, -1), 0
        while records := await self._log.recorded(after, since, AT_ONCE):
            await self._adopt(records)
            last = records[-1]
            after, done = (datetime.fromisoformat(last["occurred_at"]), last["transaction_id"]), done + len(records)
        event("recorded decisions put into the online state", decisions=done)

    async def _adopt_unapplied(self) -> None:
        """Every payment that was scored without the state."""
        while records := await self._log.unapplied(AT_ONCE):
            await self._log.apply(await self._adopt(records))
            self._metrics.repaired.inc(len(records))

    async def _adopt(self, records: list[Record]) -> dict[int, int]:
        numbers = await self._state.adopt(
            [(Payment.recorded(record), pack(record), record["applied"]) for record in records]
        )
        return dict(zip((record["transaction_id"] for record in records), numbers, strict=True))

    def _say(self, problem: str) -> None:
        """Log that the state is left, and that it is back, once each."""
        if problem and not self._problem:
            event("online state left", logging.WARNING, reason=problem, until_then=UNTIL_THEN)
        elif self._problem and not problem:
            event("online state in use")
        self._problem = problem
        self._metrics.online.set(not problem)


def _why(error: Exception) -> str:
    if isinstance(error, UnfitStateError):
        return f"it cannot be used: {error}"
    what = "PostgreSQL" if isinstance(error, psycopg.Error) else "Valkey"
    return f"{what} does not answer: {type(error).__name__}: {error}".strip()
