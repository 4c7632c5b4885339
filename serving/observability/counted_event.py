"""Log an event that may occur very often, with its number: an attack or an overload must not fill the disk."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Final

from serving.observability.logging import event

LOG_SECONDS: Final = 10.0


@dataclass
class CountedEvent:
    """Logs the first occurrence as a warning, then at most a line in `LOG_SECONDS`, with the number since the last."""

    name: str
    _count: int = 0
    _logged_at: float = float("-inf")

    def add(self, **fields: object) -> None:
        """Count an occurrence and perhaps log it with these fields."""
        self._count += 1
        now = time.monotonic()
        if now - self._logged_at >= LOG_SECONDS:
            event(self.name, logging.WARNING, False, **fields, count=self._count)
            self._count, self._logged_at = 0, now
