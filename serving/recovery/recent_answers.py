"""The latest answers of this process: a failure may lose them before they reach the decision log."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from typing import Final

MOST: Final = 20_000
"""Answers kept: some seconds of them under full load, at 1.3 KB each."""


class RecentAnswers:
    """The newest answers by payment, with the time they were given; the oldest are evicted."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._kept: OrderedDict[int, tuple[float, bytes]] = OrderedDict()

    def add(self, transaction_id: int, answer: bytes) -> None:
        """Keep an answer."""
        self._kept[transaction_id] = (time.monotonic(), answer)
        self._kept.move_to_end(transaction_id)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def get(self, transaction_id: int) -> bytes | None:
        """A payment's answer, if it is kept."""
        found = self._kept.get(transaction_id)
        return found[1] if found else None

    def last(self, seconds: float, before: float = math.inf) -> list[int]:
        """The payments answered since `seconds` before an instant of the monotonic clock, oldest first.

        If nothing was answered so late, the seconds count back from the newest answer.
        """
        if not self._kept:
            return []
        newest, _ = next(reversed(self._kept.values()))
        since = min(before, newest) - seconds
        return [number for number, (at, _) in self._kept.items() if at >= since]
