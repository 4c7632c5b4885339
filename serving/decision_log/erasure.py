"""Forget one customer in the decision log."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row

from serving.decision_log.log import conninfo
from serving.decision_log.schema import check_tables
from serving.online_store.erasure import Place

PATIENT: Final = "set statement_timeout = 0"
"""No index leads from a customer to the decisions."""
PAYMENTS: Final = """
select transaction_id, terminal_id, floor(extract(epoch from occurred_at))::bigint as second
from serving.decisions where customer_id = %s
"""
LOCK: Final = """
-- In one order: a scorer that backfills the same payments must not deadlock.
select transaction_id from serving.decisions where customer_id = %s order by transaction_id for update
"""
FORGET_PENDING: Final = """
delete from serving.unapplied using serving.decisions
where unapplied.transaction_id = decisions.transaction_id and decisions.customer_id = %s
"""
FORGET_REPORTS: Final = """
delete from serving.fraud_reports as report
using unnest(%s::bigint[], %s::bigint[]) as gone (transaction_id, second)
where report.transaction_id = gone.transaction_id and floor(extract(epoch from report.occurred_at)) = gone.second
"""
FORGET_DECISIONS: Final = "delete from serving.decisions where customer_id = %s"


class LogErasure:
    """Finds and removes one customer's decisions, and the fraud reports of its payments. Raises `psycopg.Error`."""

    def __init__(self, connection: AsyncConnection[DictRow], customer_id: int) -> None:
        self._connection = connection
        self._customer_id = customer_id

    async def payments(self) -> set[Place]:
        """The customer's payments that have a decision."""
        rows = await (await self._connection.execute(PAYMENTS, [self._customer_id])).fetchall()
        return {(row["transaction_id"], row["terminal_id"], row["second"]) for row in rows}

    async def forget(self, payments: Iterable[Place]) -> Counter[str]:
        """Remove the customer's decisions, and the reports of these payments; all or nothing."""
        places = sorted(payments)
        positions = [[number for number, _, _ in places], [second for _, _, second in places]]
        async with self._connection.transaction():
            await self._connection.execute(LOCK, [self._customer_id])
            pending = await self._delete(FORGET_PENDING, [self._customer_id])
            reports = await self._delete(FORGET_REPORTS, positions)
            decisions = await self._delete(FORGET_DECISIONS, [self._customer_id])
        return Counter(decisions=decisions, fraud_reports=reports, pending_backfill=pending)

    async def _delete(self, query: str, arguments: list[Any]) -> int:
        return (await self._connection.execute(query.encode(), arguments)).rowcount


@asynccontextmanager
async def open_log(url: str, password: str, timeout: float) -> AsyncIterator[AsyncConnection[DictRow]]:
    """A connection to the decision log, as the scorer's role. Raises `psycopg.Error`."""
    connection = await AsyncConnection.connect(conninfo(url, password, timeout), autocommit=True, row_factory=dict_row)
    async with connection:
        await check_tables(connection)
        await connection.execute(PATIENT)
        yield connection
