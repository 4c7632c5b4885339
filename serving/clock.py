"""The clock of the service, passed as an argument so that a test can set it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the current instant, with a time zone."""


def machine_clock() -> datetime:
    """The machine's time."""
    return datetime.now(UTC)
