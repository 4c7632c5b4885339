"""Share what is limited fairly among API keys: one key's requests must not keep another's from being served."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Final, Generic, TypeVar

from serving.errors import OverloadedError

CALLER: Final[ContextVar[str]] = ContextVar("caller", default="")
"""Stands for the API key of the current request; empty without one."""
Waiting = TypeVar("Waiting")


class FairQueue(Generic[Waiting]):
    """What waits, in order of arrival for each caller; the callers are served in rotation."""

    def __init__(self, gave_up: Callable[[Waiting], bool]) -> None:
        """What `gave_up` is dropped, and does not cost its caller a turn."""
        self._gave_up = gave_up
        self._waiting: OrderedDict[str, deque[Waiting]] = OrderedDict()
        """The first caller is next."""

    def add(self, waiting: Waiting, caller: str) -> None:
        """Add it behind its caller's others."""
        self._waiting.setdefault(caller, deque()).append(waiting)

    def take(self) -> tuple[Waiting, str] | None:
        """What the next caller has waited for longest, and the caller, whose turn this was; None if nothing waits."""
        while self._waiting:
            caller, queue = self._waiting.popitem(last=False)
            while queue and self._gave_up(queue[0]):
                queue.popleft()
            if queue:
                waiting = queue.popleft()
                if queue:
                    self._waiting[caller] = queue
                return waiting, caller
        return None

    def put_back(self, taken: Sequence[tuple[Waiting, str]]) -> None:
        """Put back what was taken, in the order in which it was: it is next."""
        for waiting, caller in reversed(taken):
            self._waiting.setdefault(caller, deque()).appendleft(waiting)
            self._waiting.move_to_end(caller, last=False)


class FairTurns:
    """A semaphore that serves the callers in rotation: however many requests of one wait, another's is next."""

    def __init__(self, at_once: int, patience: float | None = None) -> None:
        """A caller that waits longer than `patience` seconds gets an `OverloadedError`."""
        self._idle = at_once
        self._patience = patience
        self._waiting: FairQueue[asyncio.Future[None]] = FairQueue(asyncio.Future.done)

    async def __aenter__(self) -> None:
        if self._idle:
            self._idle -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(turn, CALLER.get())
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
        if taken := self._waiting.take():
            taken[0].set_result(None)
        else:
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
