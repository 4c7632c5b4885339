"""The decision log in PostgreSQL: the table `serving.decisions`, a row for each payment, once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo
from psycopg.errors import UndefinedTable
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from serving.answers import Record
from serving.clock import iso
from serving.payment import Place
from serving.settings import DECISIONS_OWNER

CONNECTIONS: Final = 4
_LOCK: Final = 7_240_461
"""Any number of our own: two scorers that start at once must not create the table at once."""

_CREATE: Final = f"""
begin;
select pg_advisory_xact_lock({_LOCK});
create schema if not exists serving;
create table if not exists serving.decisions (
    transaction_id bigint primary key,
    customer_id bigint not null,
    terminal_id bigint not null,
    amount numeric(12, 2) not null,
    occurred_at timestamptz not null,
    score float8 not null,
    decision text not null,
    reasons jsonb not null,
    model_version text not null,
    degraded bool not null,
    features jsonb not null,
    features_version text not null,
    applied bigint not null,
    decided_at timestamptz not null
);
create index if not exists decisions_occurred_at on serving.decisions (occurred_at);
commit;
"""
_COLUMNS: Final = (
    "transaction_id, customer_id, terminal_id, amount, occurred_at, score, decision, reasons, model_version, degraded, "
    "features, features_version, applied, decided_at"
)
_APPEND: Final = f"""
insert into serving.decisions ({_COLUMNS})
select {_COLUMNS} from jsonb_populate_recordset(null::serving.decisions, %s::jsonb)
on conflict (transaction_id) do nothing
"""
_FIND: Final = f"select {_COLUMNS} from serving.decisions where transaction_id = %s"
_LOCATE: Final = """
select transaction_id, terminal_id, floor(extract(epoch from occurred_at))::bigint as second,
    (amount * 100)::bigint as cents
from serving.decisions where transaction_id = any(%s)
"""


class DecisionLog:
    """Writes and reads decisions. Every method raises `psycopg.Error` where PostgreSQL does not answer."""

    def __init__(self, url: str, password: str, timeout: float) -> None:
        milliseconds = int(timeout * 1000)
        conninfo = make_conninfo(
            url,
            user=DECISIONS_OWNER,
            password=password,
            connect_timeout=max(1, round(timeout)),
            application_name="scorer",
            options=f"-c timezone=UTC -c statement_timeout={10 * milliseconds}",
        )
        self._pool: AsyncConnectionPool[AsyncConnection[DictRow]] = AsyncConnectionPool(
            conninfo,
            min_size=0,
            max_size=CONNECTIONS,
            timeout=timeout,
            # The pool's own backing off would go on for minutes after PostgreSQL is back: whoever asks tries again.
            reconnect_timeout=timeout,
            kwargs={"row_factory": dict_row, "autocommit": True},
            check=AsyncConnectionPool.check_connection,
            open=False,
        )
        self._made = False

    async def open(self) -> None:
        """Begin; PostgreSQL may be away."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    async def check(self) -> None:
        """Find the table, or make it."""
        async with self._connection() as connection:
            await connection.execute("select 1 from serving.decisions limit 1")

    async def append(self, kept: Sequence[bytes]) -> int:
        """Write records, as they were kept, in one statement; how many were not there yet."""
        async with self._connection() as connection:
            done = await connection.execute(_APPEND, [(b"[" + b",".join(kept) + b"]").decode()])
            return done.rowcount

    async def find(self, transaction_id: int) -> Record | None:
        """The decision on one payment."""
        async with self._connection() as connection:
            row = await (await connection.execute(_FIND, [transaction_id])).fetchone()
        return None if row is None else _as_kept(row)

    async def locate(self, ids: Sequence[int]) -> dict[int, Place]:
        """Where the payments were that were decided on."""
        async with self._connection() as connection:
            rows = await (await connection.execute(_LOCATE, [list(ids)])).fetchall()
        return {row["transaction_id"]: (row["terminal_id"], row["second"], row["cents"]) for row in rows}

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection[DictRow]]:
        async with self._pool.connection() as connection:
            if not self._made:
                await connection.execute(_CREATE)
                self._made = True
            try:
                yield connection
            except UndefinedTable:
                self._made = False
                raise


def _as_kept(row: dict[str, Any]) -> Record:
    """A row in the form in which the online state keeps it."""
    amount: Decimal = row["amount"]
    return row | {
        "amount": str(amount),
        "occurred_at": iso(row["occurred_at"]),
        "decided_at": iso(row["decided_at"]),
    }
