"""What the scorer needs of the decision log: one row for each payment, the first decision on it.

Methods raise `psycopg.Error` if the log does not answer in time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol

from serving.scoring.decision_records import Record
from serving.scoring.payment import Location
from serving.scoring.report import Report


class FindableLog(Protocol):
    """The log as scoring with history uses it, for payments whose answers the store may have dropped."""

    async def find(self, ids: Sequence[int]) -> dict[int, Record]:
        """The decisions on these payments, of those that have one."""


class DecisionLog(FindableLog, Protocol):
    """The log as requests use it: each call answers or fails within the short deadline."""

    async def check(self) -> None:
        """Fail unless the tables can be read and written."""

    async def record(self, kept: Mapping[int, bytes]) -> dict[int, Record]:
        """Write degraded decisions, pending backfill; returns those that existed before."""

    async def locate(self, ids: Sequence[int]) -> dict[int, Location]:
        """Terminal, second and cents of the payments that have a decision."""


class Appendable(Protocol):
    """The log as the outbox relay uses it."""

    async def append(self, kept: Sequence[bytes]) -> int:
        """Write decisions; how many were new."""


class AppendableReports(Protocol):
    """The log as the relay of fraud reports uses it."""

    async def append_reports(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write fraud reports (`Report.as_row`); of several reports of one payment the earliest stays."""


class Relay(Protocol):
    """A relay as readiness sees it."""

    @property
    def problem(self) -> str:
        """Why PostgreSQL takes nothing from it, empty if it does."""


class Confirming(Protocol):
    """The log as `Confirmer` uses it."""

    async def missing(self, ids: Sequence[int]) -> set[int]:
        """The payments among these without a decision."""

    async def missing_reports(self, keys: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
        """The reports (payment, second) among these that are not recorded, and no earlier one of the payment."""


class ReconcilableLog(Appendable, AppendableReports, Protocol):
    """The log as recovery uses it."""

    def recovery_lock(self) -> AbstractAsyncContextManager[bool]:
        """Whether this process has the lock for recovery, until the context ends or the process stops."""

    async def find(self, ids: Sequence[int]) -> dict[int, Record]:
        """The decisions on these payments, of those that have one."""

    async def highest(self) -> int:
        """The highest recorded sequence number of decisions and reports, 0 if there is none."""

    async def highest_id(self) -> int:
        """The highest id of a recorded payment, 0 if there is none."""

    async def applied_after(self, number: int, limit: int) -> list[Record]:
        """Decisions with sequence numbers above `number`, in their order."""

    async def numbered(self, after: int, until: int) -> list[int]:
        """The payments with sequence numbers above one, up to another."""

    async def recorded(self, after: tuple[datetime, int], until: int, limit: int) -> list[Record]:
        """Decisions with sequence numbers up to `until`, in order of (payment's instant, id), after a position."""

    async def pending_backfill(self, after: int, limit: int) -> list[Record]:
        """Degraded decisions that are not in the online store yet, in order of id, after one id."""

    async def mark_backfilled(self, numbers: Mapping[int, int]) -> None:
        """Note that these payments are in the online store now, with these sequence numbers."""

    async def reports_after(self, position: tuple[int, int], limit: int) -> list[Report]:
        """Recorded reports in order of (sequence number, payment), after a position."""

    async def reports_since(self, position: tuple[int, int], limit: int) -> list[Report]:
        """Recorded reports in order of the position of their payments (second, id), after one."""
