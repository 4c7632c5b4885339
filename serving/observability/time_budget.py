"""Repeat the last result of expensive work while it would take too much of the event loop's time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

SHARE: Final = 0.05
"""The share of time that the work may take in the long run."""
MAX_SECONDS: Final = 0.5
"""How much of unused time is kept: a few calls one after another are always worked on."""
Result = TypeVar("Result")


class TimeBudget(Generic[Result]):
    """Does the work anew for each call, as long as its time allows."""

    def __init__(self, work: Callable[[], Result], clock: Callable[[], float] = time.perf_counter) -> None:
        self._work = work
        self._clock = clock
        self._left = MAX_SECONDS
        self._counted_at = clock()
        self._last: Result | None = None

    def result(self) -> Result:
        """The result of the work now, or its last result."""
        began = self._clock()
        self._left = min(MAX_SECONDS, self._left + SHARE * (began - self._counted_at))
        self._counted_at = began
        if self._last is None or self._left > 0:
            self._last = self._work()
            self._left -= self._clock() - began
        return self._last
