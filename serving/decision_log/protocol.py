"""What the scorer needs of the decision log: one row for each payment, the first decision on it.

Methods raise `psycopg.Error` if the log does not answer in time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from serving.scoring.decision_records import Record
from serving.scoring.payment import Location


class FindableLog(Protocol):
    """The log as scoring with history uses it, for payments whose answers the store may have dropped."""

    async def find(self, ids: Sequence[int]) -> dict[int, Record]:
        """The decisions on these payments, of those that have one."""


class DecisionLog(FindableLog, Protocol):
    """The log as requests use it: each call answers or fails within the short deadline, except `locate`."""

    async def check(self) -> None:
        """Fail unless the table can be read."""

    async def record(self, kept: Mapping[int, bytes]) -> dict[int, Record]:
        """Write degraded decisions, pending backfill; returns those that existed before."""

    async def locate(self, ids: Sequence[int]) -> dict[int, Location]:
        """Terminal, second and cents of the payments that have a decision."""


class Appendable(Protocol):
    """The log as the outbox relay uses it."""

    async def append(self, kept: Sequence[bytes]) -> int:
        """Write decisions; how many were new."""


class ReconcilableLog(Appendable, Protocol):
    """The log as recovery uses it."""

    def repair_lock(self) -> AbstractAsyncContextManager[bool]:
        """Whether this process holds the lock for recovery, until the context ends."""

    async def find(self, ids: Sequence[int]) -> dict[int, Record]:
        """The decisions on these payments, of those that have one."""

    async def highest(self) -> int:
        """The highest recorded sequence number, 0 if there is none."""

    async def highest_id(self) -> int:
        """The highest id of a recorded payment, 0 if there is none."""

    async def applied_after(self, number: int, limit: int) -> list[Record]:
        """Decisions with sequence numbers above `number`, in their order."""

    async def recorded(self, after: tuple[datetime, int], until: datetime, limit: int) -> list[Record]:
        """Decisions made with history, in order of (instant, id), after a position and before an instant."""

    async def pending_backfill(self, after: int, limit: int) -> list[Record]:
        """Degraded decisions that are not in the online store yet, in order of id, after one id."""

    async def mark_backfilled(self, numbers: Mapping[int, int]) -> None:
        """Note that these payments are in the online store now, with these sequence numbers."""
