"""Raise the limit of file handles at the start, and log when they run out.

Without a handle the server closes new connections and says nothing.
"""

from __future__ import annotations

import asyncio
import os
import resource
from contextlib import suppress
from pathlib import Path
from typing import Final

from serving.middleware.http_limits import MAX_CONNECTIONS, OTHER_HANDLES
from serving.observability.transition_logger import TransitionLogger

WANTED: Final = MAX_CONNECTIONS + OTHER_HANDLES
SPARE: Final = 10
"""Handles that must be free: a scorer needs some at once when its stores come back."""
CHECK_SECONDS: Final = 2.0
OPEN: Final = Path("/dev/fd")


def raise_limit() -> None:
    """Allow this process as many file handles as it can use and the hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED if hard < 0 else min(WANTED, hard)
    if 0 <= soft < most:
        # Some systems have a lower limit that they do not tell.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


class FileHandles:
    """Counts the file handles of this process."""

    def __init__(self) -> None:
        self._transitions = TransitionLogger(
            "file handles run out", "file handles run out", recovered="file handles are free again"
        )

    async def run(self) -> None:
        """Check every `CHECK_SECONDS`, until cancelled."""
        while True:
            self.check()
            await asyncio.sleep(CHECK_SECONDS)

    def check(self) -> None:
        """Log it when handles run out, and when they are free again."""
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        short = 0 <= limit < _open_handles() + SPARE
        problem = f"nearly all of {limit} are in use, and new connections fail: raise `ulimit -n`" if short else ""
        self._transitions.update(problem)


def _open_handles() -> float:
    """How many are open, 0 if that is unknown; infinite if there is none left to find out."""
    try:
        return len(os.listdir(OPEN))  # noqa: PTH208 - thousands of names, every two seconds, on the event loop
    except FileNotFoundError:
        return 0
    except OSError:
        return float("inf")
