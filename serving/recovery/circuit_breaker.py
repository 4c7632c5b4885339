"""Circuit breaker for the online store: after a failure payments are scored degraded until recovery is complete.

| state | payments | ends |
|---|---|---|
| CLOSED | use the online store | OPEN when it fails (`trip`) |
| OPEN | are scored degraded, and recorded in the decision log as pending backfill | RECOVERING when it answers again |
| RECOVERING | are scored degraded, and backfilled at once | CLOSED when nothing is missing in it; OPEN when it fails |
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
from typing import Final

import psycopg
from valkey.exceptions import ResponseError

from serving.decision_log.problems import PROBLEMS, problem_of
from serving.decision_log.schema import TablesError
from serving.errors import OnlineStoreUnavailableError
from serving.observability.metrics import Metrics
from serving.observability.transition_logger import TransitionLogger

DRAIN_SECONDS: Final = 5.0
"""Max wait for degraded payments in flight before the breaker closes; on timeout it stays open."""
UNTIL_THEN: Final = (
    "until the online store is back in use, payments are scored without history (degraded) and backfilled afterwards"
)


class State(Enum):
    """What payments do with the online store."""

    CLOSED = "closed"
    OPEN = "open"
    RECOVERING = "recovering"


class CircuitBreaker:
    """Knows whether payments use the online store. `Reconciler` closes it."""

    def __init__(self, metrics: Metrics) -> None:
        self.state = State.OPEN
        self.trips = 0
        """How often it tripped: recovery that began before the latest trip must not close it."""
        self.missed = False
        """Whether payments were scored degraded since the last complete recovery."""
        self._metrics = metrics
        self._transitions = TransitionLogger(
            "online store unavailable",
            "online store still unavailable",
            "online store in use",
            problem="the online store has not been checked yet",
        )
        self._unrecovered = _set_event()
        self._admitted = _set_event()
        self._idle = _set_event()
        self._in_flight = 0
        metrics.online.set(0)

    @property
    def closed(self) -> bool:
        """Whether payments use the online store."""
        return self.state is State.CLOSED

    @property
    def problem(self) -> str:
        """Why the store is not in use, empty while it is."""
        return self._transitions.problem

    def trip(self, error: Exception) -> None:
        """The store failed: open until recovery is complete."""
        self.trips += 1
        self._unrecovered.set()
        self._enter(State.OPEN, reason(error))

    def start_recovery(self) -> None:
        """The store answers: backfill degraded payments immediately, so that the backlog does not grow."""
        if self.state is State.OPEN:
            self.state = State.RECOVERING

    def stop_recovery(self) -> None:
        """A backfill failed; recovery finds what is pending."""
        if self.state is State.RECOVERING:
            self.state = State.OPEN

    def stay_open(self, error: Exception) -> None:
        """An attempt at recovery failed."""
        self._enter(State.OPEN if self.closed else self.state, reason(error))

    def close(self, *, recovered: bool) -> None:
        """Use the store. If it is not `recovered`, nothing is known to be missing, and recovery is still to come."""
        if recovered:
            self._unrecovered.clear()
            self.missed = False
        self._enter(State.CLOSED, "")

    async def needs_recovery(self, patience: float) -> bool:
        """Whether recovery is due, within `patience` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._unrecovered.wait()
        return self._unrecovered.is_set()

    @asynccontextmanager
    async def degraded(self) -> AsyncIterator[bool]:
        """Score degraded; False if the breaker is closed and the store must be used."""
        await self._admitted.wait()
        if self.closed:
            yield False
            return
        self.missed = True
        self._in_flight += 1
        self._idle.clear()
        try:
            yield True
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()

    @asynccontextmanager
    async def without_degraded_work(self) -> AsyncIterator[None]:
        """Wait for degraded payments in flight to finish, and hold new ones until the context exits.

        Raises `OnlineStoreUnavailableError` if that takes too long.
        """
        self._admitted.clear()
        try:
            try:
                async with asyncio.timeout(DRAIN_SECONDS):
                    await self._idle.wait()
            except TimeoutError as error:
                raise OnlineStoreUnavailableError(
                    f"degraded payments in flight did not finish within {DRAIN_SECONDS:.0f} s"
                ) from error
            yield
        finally:
            self._admitted.set()

    def _enter(self, state: State, problem: str) -> None:
        self.state = state
        self._transitions.update(problem, until_then=UNTIL_THEN)
        self._metrics.online.set(self.closed)


def reason(error: Exception) -> str:
    """Why a store cannot be used, and the remedy."""
    if isinstance(error, OnlineStoreUnavailableError | TablesError):
        return str(error)
    if isinstance(error, tuple(PROBLEMS)):
        return problem_of(error)
    if isinstance(error, ResponseError):
        return f"Valkey rejected a command ({_short(error)}): fix the setting it names, such as maxmemory"
    what, variable = ("PostgreSQL", "DECISIONS_URL") if isinstance(error, psycopg.Error) else ("Valkey", "VALKEY_URL")
    return f"{what} is not responding ({_short(error)}): check {variable}, and check that {what} is running"


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".strip(": ")


def _set_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event
