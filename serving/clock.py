"""The one clock of the service, so that a test can set it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Tells the present instant, with its zone."""


def machine_clock() -> datetime:
    """The machine's own time."""
    return datetime.now(UTC)


def iso(instant: datetime) -> str:
    """An instant in UTC as ISO 8601, ending in Z."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
