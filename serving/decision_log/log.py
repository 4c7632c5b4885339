"""The decision log in PostgreSQL: the table `serving.decisions`, a row for each payment, once."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeVar

import orjson
from psycopg import AsyncConnection, Error, OperationalError
from psycopg.conninfo import make_conninfo
from psycopg.errors import UndefinedTable
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool

from serving.clock import iso
from serving.decision_log.schema import check_tables
from serving.scoring.payment import Place
from serving.scoring.records import Record
from serving.settings import DECISIONS_OWNER

Result = TypeVar("Result")
CONNECTIONS: Final = 8
PATIENCE: Final = 11
SOON: Final = 2.5
"""Times the timeout: a statement has ten of it on the server, and its answer some more on the way."""
_REPAIR_LOCK: Final = 7_240_462
"""Any number of our own: of several scorers one repairs."""
_TRY_LOCK: Final = f"select pg_try_advisory_lock({_REPAIR_LOCK}) as got"
_UNLOCK: Final = f"select pg_advisory_unlock({_REPAIR_LOCK})"

_COLUMNS: Final = (
    "transaction_id, customer_id, terminal_id, amount, occurred_at, score, decision, reasons, model_version, degraded, "
    "features, features_version, applied, decided_at"
)
_APPEND: Final = f"""
insert into serving.decisions ({_COLUMNS})
select {_COLUMNS} from jsonb_populate_recordset(null::serving.decisions, %s::jsonb)
-- In one order for everyone: two who write the same rows must not wait for one another.
order by transaction_id
on conflict (transaction_id) do nothing
"""
_FIND: Final = f"select {_COLUMNS} from serving.decisions where transaction_id = any(%s)"
_RECORD: Final = f"""
with added as (
    insert into serving.decisions ({_COLUMNS})
    select {_COLUMNS} from jsonb_populate_recordset(null::serving.decisions, %s::jsonb)
    order by transaction_id
    on conflict (transaction_id) do nothing
    returning transaction_id
)
insert into serving.unapplied (transaction_id) select transaction_id from added returning transaction_id
"""
_UNAPPLIED: Final = f"""
select {_COLUMNS} from serving.decisions
where transaction_id in (
    select transaction_id from serving.unapplied where transaction_id > %s order by transaction_id limit %s
)
order by transaction_id
"""
_APPLY: Final = """
-- Locked in one order by everyone: two who put in the same payments must not wait for one another.
with locked as (
    select transaction_id from serving.decisions where transaction_id = any(%(ids)s::bigint[])
    order by transaction_id for update
),
numbered as (
    select n.* from unnest(%(ids)s::bigint[], %(numbers)s::bigint[]) as n(transaction_id, applied)
    join locked using (transaction_id)
),
gone as (delete from serving.unapplied using numbered where unapplied.transaction_id = numbered.transaction_id)
update serving.decisions set applied = numbered.applied from numbered
where decisions.transaction_id = numbered.transaction_id
"""
_RECORDED: Final = f"""
select {_COLUMNS} from serving.decisions
where (decided_at, transaction_id) > (%(after)s::timestamptz, %(number)s) and decided_at < %(until)s and applied > 0
order by decided_at, transaction_id limit %(limit)s
"""
_APPLIED_AFTER: Final = f"""
select {_COLUMNS} from serving.decisions where applied > %s order by applied limit %s
"""
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
            configure=_configure,
            check=AsyncConnectionPool.check_connection,
            open=False,
        )
        self._checked = False
        self._patience = PATIENCE * timeout
        self._soon_seconds = SOON * timeout

    async def open(self) -> None:
        """Begin; PostgreSQL may be away."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    async def check(self) -> None:
        """Find the table; for whoever waits, not for long."""
        await self._soon(self._check())

    async def _check(self) -> None:
        async with self._connection() as connection:
            await connection.execute("select 1 from serving.decisions limit 1")

    async def append(self, kept: Sequence[bytes]) -> int:
        """Write records, as they were kept, in one statement; how many were not there yet."""
        async with self._connection() as connection:
            done = await connection.execute(_APPEND, [_as_list(kept)])
            return done.rowcount

    async def find(self, ids: Sequence[int]) -> dict[int, Record]:
        """The decisions on these payments, of those that have one; for whoever waits, not for long."""
        return await self._soon(self._find(ids))

    async def _find(self, ids: Sequence[int]) -> dict[int, Record]:
        async with self._connection() as connection:
            rows = await (await connection.execute(_FIND, [list(ids)])).fetchall()
        return {row["transaction_id"]: _as_kept(row) for row in rows}

    async def record(self, kept: Mapping[int, bytes]) -> dict[int, Record]:
        """Write decisions on payments that are not in the online state yet; gives those that were there before.

        For whoever waits, not for long; what is not written by then may be written all the same.
        """
        return await self._soon(self._record(kept))

    async def _record(self, kept: Mapping[int, bytes]) -> dict[int, Record]:
        async with self._connection() as connection:
            done = await connection.execute(_RECORD, [_as_list(kept.values())])
            added = {row["transaction_id"] for row in await done.fetchall()}
        before = [number for number in kept if number not in added]
        return await self._find(before) if before else {}

    async def unapplied(self, after: int, limit: int) -> list[Record]:
        """Decisions on payments that are not in the online state yet, in order of id, after one of them."""
        async with self._connection() as connection:
            return [_as_kept(row) for row in await (await connection.execute(_UNAPPLIED, [after, limit])).fetchall()]

    async def apply(self, numbers: Mapping[int, int]) -> None:
        """Note that these payments are in the online state now, by their numbers in the order of application."""
        async with self._connection() as connection:
            await connection.execute(_APPLY, {"ids": list(numbers), "numbers": list(numbers.values())})

    async def highest(self) -> int:
        """The highest number in the order of application, 0 where there is none."""
        async with self._connection() as connection:
            row = await (await connection.execute("select max(applied) as highest from serving.decisions")).fetchone()
        return int(row["highest"] or 0) if row else 0

    async def applied_after(self, number: int, limit: int) -> list[Record]:
        """Decisions on payments whose numbers in the order of application are above one, in that order."""
        async with self._connection() as connection:
            return [
                _as_kept(row) for row in await (await connection.execute(_APPLIED_AFTER, [number, limit])).fetchall()
            ]

    async def recorded(self, after: tuple[datetime, int], until: datetime, limit: int) -> list[Record]:
        """Decisions made between two instants on payments that were in the online state, after a place among them."""
        async with self._connection() as connection:
            asked = {"after": after[0], "number": after[1], "until": until, "limit": limit}
            return [_as_kept(row) for row in await (await connection.execute(_RECORDED, asked)).fetchall()]

    @asynccontextmanager
    async def only_one(self) -> AsyncIterator[bool]:
        """Whether this process alone may repair; held until it is left."""
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self._patience):
                    connection = await stack.enter_async_context(self._connection(math.inf))
                    got = await (await connection.execute(_TRY_LOCK)).fetchone()
            except TimeoutError as error:
                raise OperationalError(f"no answer within {self._patience:.0f} s") from error
            try:
                yield bool(got and got["got"])
            finally:
                if got and got["got"]:
                    await self._unlock(connection)

    async def _unlock(self, connection: AsyncConnection[DictRow]) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await connection.execute(_UNLOCK)
        except (Error, TimeoutError):
            # The lock ends with its connection.
            await connection.close()

    async def locate(self, ids: Sequence[int]) -> dict[int, Place]:
        """Where the payments were that were decided on."""
        async with self._connection() as connection:
            rows = await (await connection.execute(_LOCATE, [list(ids)])).fetchall()
        return {row["transaction_id"]: (row["terminal_id"], row["second"], row["cents"]) for row in rows}

    async def _soon(self, work: Coroutine[Any, Any, Result]) -> Result:
        """What comes of some work, or `OperationalError` after a few seconds.

        A statement that is called off waits some seconds more for a server that says nothing: it is left to that.
        """
        task = asyncio.create_task(work)
        try:
            done, _ = await asyncio.wait({task}, timeout=self._soon_seconds)
        finally:
            if not task.done():
                task.cancel()
                task.add_done_callback(_forget)
        if not done:
            raise OperationalError(f"no answer within {self._soon_seconds:.0f} s")
        return task.result()

    @asynccontextmanager
    async def _connection(self, patience: float | None = None) -> AsyncIterator[AsyncConnection[DictRow]]:
        """A connection, for so many seconds: a server that says nothing would be waited for otherwise."""
        seconds = self._patience if patience is None else patience
        try:
            async with asyncio.timeout(None if seconds == math.inf else seconds), self._pool.connection() as connection:
                if not self._checked:
                    await check_tables(connection)
                    self._checked = True
                try:
                    yield connection
                except UndefinedTable:
                    self._checked = False
                    raise
        except TimeoutError as error:
            raise OperationalError(f"no answer within {seconds:.0f} s") from error


async def _configure(connection: AsyncConnection[DictRow]) -> None:
    """Read JSON by the faster library: bringing the online state back reads much of it."""
    set_json_loads(orjson.loads, connection)


def _forget(task: asyncio.Task[Any]) -> None:
    """Take note of how a task ended that nobody waits for."""
    if not task.cancelled():
        task.exception()


def _as_list(kept: Iterable[bytes]) -> str:
    """Records, as they were kept, as one JSON list."""
    return (b"[" + b",".join(kept) + b"]").decode()


def _as_kept(row: dict[str, Any]) -> Record:
    """A row in the form in which the online state keeps it."""
    amount: Decimal = row["amount"]
    return row | {
        "amount": str(amount),
        "occurred_at": iso(row["occurred_at"]),
        "decided_at": iso(row["decided_at"]),
    }
