"""Share one check among simultaneous requests: they need no key, and a check asks both stores."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


class SharedCheck(Generic[Result]):
    """Runs a check for the first caller; callers that come during it get its result too."""

    def __init__(self, check: Callable[[], Coroutine[Any, Any, Result]]) -> None:
        self._check = check
        self._running: asyncio.Task[Result] | None = None

    async def result(self) -> Result:
        """The result of the check that runs, or of a new one."""
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._check())
        # A caller that is cancelled does not end it for the others.
        return await asyncio.shield(self._running)
