"""Log what anybody can cause as often as they like by its number, so that it does not fill the disk."""

from __future__ import annotations

import logging
import time
from typing import Final

from serving.observability.logging import event

LOG_SECONDS: Final = 10


class LimitedLog:
    """Logs the first event of a name, then at most a line in `LOG_SECONDS`, with the number since the line before."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._count = 0
        self._logged_at = float("-inf")

    def add(self, **fields: object) -> None:
        """Count an event and perhaps log it."""
        self._count += 1
        now = time.monotonic()
        if now - self._logged_at >= LOG_SECONDS:
            event(self._name, logging.WARNING, False, **fields, count=self._count)
            self._count, self._logged_at = 0, now
