"""Background tasks of the scorer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final

from serving.observability.logging import event

AGAIN_SECONDS: Final = 0.5


class Background:
    """Starts long-running tasks, reports those that have ended, and stops them."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Start a task."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(_log_end)
        self._tasks[name] = task

    def dead(self) -> list[str]:
        """The names of tasks that have ended; none should."""
        return [name for name, task in self._tasks.items() if task.done()]

    async def stop(self) -> None:
        """Cancel all tasks and wait until they have ended."""
        while left := [task for task in self._tasks.values() if not task.done()]:
            for task in left:
                # Once may not be enough: Python 3.11's `wait_for` can swallow a cancellation if it ends just then.
                task.cancel()
            await asyncio.wait(left, timeout=AGAIN_SECONDS)


def _log_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        event("background task ended", logging.CRITICAL, task=task.get_name(), reason=repr(error))
