"""A deadline for a store that is not the store's fault if this process was stopped or too busy meanwhile.

The event loop runs timers that are due before it reads what arrived meanwhile, so after a pause of its own every answer
would come too late.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final

LATE_SECONDS: Final = 0.1
"""How late the loop must be for a second look."""
GRACE_SECONDS: Final = 0.25
"""How long what arrived meanwhile may take to be read."""


class Deadline:
    """Like `asyncio.timeout`; waits once more, for `GRACE_SECONDS`, if the event loop itself was late."""

    __slots__ = ("_excused", "_handle", "_loop", "_seconds", "_timeout")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._excused = False

    async def __aenter__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout = asyncio.timeout(None)
        await self._timeout.__aenter__()
        self._schedule(self._seconds)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def _schedule(self, seconds: float) -> None:
        due = self._loop.time() + seconds
        self._handle = self._loop.call_at(due, self._end, due)

    def _end(self, due: float) -> None:
        now = self._loop.time()
        if now - due > LATE_SECONDS and not self._excused:
            self._excused = True
            self._schedule(GRACE_SECONDS)
        else:
            self._timeout.reschedule(now)
