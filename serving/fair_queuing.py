"""Share what is limited fairly among API keys: one key's requests must not keep another's from being served."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from contextvars import ContextVar
from typing import Final

from serving.errors import OverloadedError

CALLER: Final[ContextVar[str]] = ContextVar("caller", default="")
"""Stands for the API key of the current request; empty without one."""


class FairTurns:
    """A semaphore that serves the callers in rotation: however many requests of one wait, another's is next."""

    def __init__(self, at_once: int, patience: float | None = None) -> None:
        """A caller that waits longer than `patience` seconds gets an `OverloadedError`."""
        self._idle = at_once
        self._patience = patience
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        """What waits for each caller; the first caller is next."""

    async def __aenter__(self) -> None:
        if self._idle:
            self._idle -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(CALLER.get(), deque()).append(turn)
        try:
            async with asyncio.timeout(self._patience):
                await self._wait_for(turn)
        except TimeoutError:
            raise OverloadedError(f"other requests come first, for more than {self._patience:g} s: retry") from None

    async def __aexit__(self, *_: object) -> None:
        self._pass_on()

    async def _wait_for(self, turn: asyncio.Future[None]) -> None:
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                # It came just as the caller gave up.
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        """Give the turn to the next that waits, if any."""
        while self._waiting:
            caller = next(iter(self._waiting))
            waiting = self._waiting.pop(caller)
            turn = waiting.popleft()
            while turn.done() and waiting:
                # That request gave up: the caller's next one takes its place.
                turn = waiting.popleft()
            if waiting:
                self._waiting[caller] = waiting
            if not turn.done():
                turn.set_result(None)
                return
        self._idle += 1


class FairShare:
    """A total of which a caller may take as much as it leaves free: half of it alone, a third with another one."""

    def __init__(self, total: int) -> None:
        self.used = 0
        self._total = total
        self._taken: Counter[str] = Counter()

    def take(self, caller: str, amount: int) -> bool:
        """Take some for a caller, unless that is more than its share."""
        if self._taken[caller] + amount > self._total - self.used - amount:
            return False
        self._taken[caller] += amount
        self.used += amount
        return True

    def give_back(self, caller: str, amount: int) -> None:
        """Give back what a caller took."""
        self.used -= amount
        self._taken[caller] -= amount
        if not self._taken[caller]:
            del self._taken[caller]
