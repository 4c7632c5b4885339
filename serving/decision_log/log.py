"""The decision log in PostgreSQL: the table `serving.decisions`, one row for each payment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeVar

import orjson
from psycopg import AsyncConnection, OperationalError
from psycopg.conninfo import make_conninfo
from psycopg.errors import ReadOnlySqlTransaction, UndefinedTable
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool

from serving.deadline import GRACE_SECONDS, LATE_SECONDS
from serving.decision_log import queries, recovery_lock
from serving.decision_log.problems import NotWritableError, raise_if_unwritable
from serving.decision_log.schema import check_tables
from serving.scoring.decision_records import Record, iso
from serving.scoring.payment import Location
from serving.scoring.report import Report
from serving.settings import DECISIONS_OWNER

Result = TypeVar("Result")
CONNECTIONS: Final = 8
"""Connections of one process, at most."""
STATEMENT: Final = 10
"""PostgreSQL's limit for a statement, and for an idle transaction, as a multiple of `SCORER_TIMEOUT_SECONDS`; only an
abandoned call or a stopped process reaches it."""
KEEPALIVE: Final = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}
"""Seconds, seconds and number of TCP's probes: a connection over a dead network ends after some ten seconds."""
LONG: Final = 11
SHORT: Final = 2.5
"""Deadline of a call, as a multiple of `SCORER_TIMEOUT_SECONDS`: long in the background, short for a request."""


class PostgresDecisionLog:
    """Reads and writes decisions. Methods raise `psycopg.Error` after their one deadline.

    A call that misses its deadline is abandoned, not awaited: cancelling a statement waits for a server that may hang.
    It may still be executed; every statement here may be repeated.
    """

    def __init__(self, url: str, password: str, timeout: float, connections: int = CONNECTIONS) -> None:
        """`connections` limits those of this process; recovery needs two."""
        self._pool: AsyncConnectionPool[AsyncConnection[DictRow]] = AsyncConnectionPool(
            conninfo(url, password, timeout),
            min_size=0,
            max_size=connections,
            # Without a server a call fails after this, before its deadline.
            timeout=timeout,
            # The pool's own backoff would go on for minutes after PostgreSQL is back; callers retry instead.
            reconnect_timeout=timeout,
            kwargs={"row_factory": dict_row, "autocommit": True},
            configure=_configure,
            check=AsyncConnectionPool.check_connection,
            open=False,
        )
        self._checked = False
        self._long = LONG * timeout
        self._short = SHORT * timeout

    async def open(self) -> None:
        """Open the pool; PostgreSQL may be unavailable."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    async def check(self) -> None:
        """Fail unless the tables can be read and written, as far as one can tell without writing."""
        await _within(self._short, self._check())

    async def find(self, ids: Sequence[int]) -> dict[int, Record]:
        """The decisions on these payments, of those that have one."""
        return await _within(self._short, self._find(ids))

    async def record(self, kept: Mapping[int, bytes]) -> dict[int, Record]:
        """Write degraded decisions, pending backfill; returns those that existed before."""
        return await _within(self._short, self._record(kept))

    async def append(self, kept: Sequence[bytes]) -> int:
        """Write decisions as the online store kept them, in one statement; how many were new."""
        return await _within(self._long, self._count(queries.APPEND, [_as_list(kept)]))

    async def pending_backfill(self, after: int, limit: int) -> list[Record]:
        """Degraded decisions that are not in the online store yet, in order of id, after one id."""
        return await self._records(queries.PENDING_BACKFILL, [after, limit])

    async def mark_backfilled(self, numbers: Mapping[int, int]) -> None:
        """Note that these payments are in the online store now, with these sequence numbers."""
        arguments = {"ids": list(numbers), "numbers": list(numbers.values())}
        await _within(self._long, self._count(queries.MARK_BACKFILLED, arguments))

    async def highest(self) -> int:
        """The highest recorded sequence number, 0 if there is none."""
        (row,) = await _within(self._long, self._rows(queries.HIGHEST))
        return int(row["highest"] or 0)

    async def highest_id(self) -> int:
        """The highest id of a recorded payment, 0 if there is none."""
        (row,) = await _within(self._long, self._rows(queries.HIGHEST_ID))
        return int(row["highest"] or 0)

    async def applied_after(self, number: int, limit: int) -> list[Record]:
        """Decisions with sequence numbers above `number`, in their order."""
        return await self._records(queries.APPLIED_AFTER, [number, limit])

    async def numbered(self, after: int, until: int) -> list[int]:
        """The payments with sequence numbers above one, up to another."""
        return [
            row["transaction_id"] for row in await _within(self._long, self._rows(queries.NUMBERED, [after, until]))
        ]

    async def recorded(self, after: tuple[datetime, int], until: int, limit: int) -> list[Record]:
        """Decisions with sequence numbers up to `until`, in order of (payment's instant, id), after a position."""
        asked = {"after": after[0], "number": after[1], "until": until, "limit": limit}
        return await self._records(queries.RECORDED, asked)

    async def missing(self, ids: Sequence[int]) -> set[int]:
        """The payments among these without a decision."""
        rows = await _within(self._long, self._rows(queries.MISSING, [list(ids)]))
        return {row["transaction_id"] for row in rows}

    async def append_reports(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write fraud reports (`Report.as_row`); of several reports of one payment the earliest stays."""
        await _within(self._long, self._count(queries.APPEND_REPORTS, [orjson.dumps(rows).decode()]))

    async def missing_reports(self, keys: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
        """The reports (payment, second) among these that are not recorded, and no earlier one of the payment."""
        asked = [[number for number, _ in keys], [second for _, second in keys]]
        rows = await _within(self._long, self._rows(queries.MISSING_REPORTS, asked))
        return {(row["transaction_id"], row["reported"]) for row in rows}

    async def reports_after(self, position: tuple[int, int], limit: int) -> list[Report]:
        """Recorded reports in order of (sequence number, payment), after a position."""
        return await self._reports(queries.REPORTS_AFTER, [*position, limit])

    async def reports_since(self, position: tuple[int, int], limit: int) -> list[Report]:
        """Recorded reports in order of the position of their payments (second, id), after one."""
        return await self._reports(queries.REPORTS_SINCE, [*position, limit])

    async def locate(self, ids: Sequence[int]) -> dict[int, Location]:
        """Terminal, second and cents of the payments that have a decision."""
        rows = await _within(self._short, self._rows(queries.LOCATE, [list(ids)]))
        return {row["transaction_id"]: (row["terminal_id"], row["second"], row["cents"]) for row in rows}

    @asynccontextmanager
    async def recovery_lock(self) -> AsyncIterator[bool]:
        """Whether this process has the lock for recovery, until the context ends or the process stops."""
        async with AsyncExitStack() as stack:
            try:
                # Not abandoned: its connection is still needed, or must be closed.
                async with asyncio.timeout(self._long):
                    connection = await stack.enter_async_context(self._connection())
                    got = await recovery_lock.acquire(connection)
            except TimeoutError as error:
                raise _late(self._long) from error
            if got:
                await stack.enter_async_context(recovery_lock.kept(connection, self._long))
            yield got

    async def _records(self, query: str, arguments: Any) -> list[Record]:
        return [_as_record(row) for row in await _within(self._long, self._rows(query, arguments))]

    async def _reports(self, query: str, arguments: Any) -> list[Report]:
        return [_as_report(row) for row in await _within(self._long, self._rows(query, arguments))]

    async def _find(self, ids: Sequence[int]) -> dict[int, Record]:
        return {row["transaction_id"]: _as_record(row) for row in await self._rows(queries.FIND, [list(ids)])}

    async def _record(self, kept: Mapping[int, bytes]) -> dict[int, Record]:
        added = {row["transaction_id"] for row in await self._rows(queries.RECORD, [_as_list(kept.values())])}
        before = [number for number in kept if number not in added]
        return await self._find(before) if before else {}

    async def _check(self) -> None:
        async with self._connection() as connection:
            (state,) = await (await connection.execute(queries.WRITABLE)).fetchall()
            raise_if_unwritable(state)
            await connection.execute(queries.READABLE)

    async def _rows(self, query: str, arguments: Any = None) -> list[DictRow]:
        async with self._connection() as connection:
            return await (await connection.execute(query, arguments)).fetchall()

    async def _count(self, query: str, arguments: Any) -> int:
        async with self._connection() as connection:
            return (await connection.execute(query, arguments)).rowcount

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection[DictRow]]:
        """A connection to a database that has the tables."""
        async with self._pool.connection() as connection:
            if not self._checked:
                await check_tables(connection)
                self._checked = True
            try:
                yield connection
            except UndefinedTable:
                self._checked = False
                raise
            except (ReadOnlySqlTransaction, NotWritableError):
                # A session keeps the defaults with which it began: only another one can be writable again.
                await connection.close()
                raise


def connections_per_worker(workers: int, together: int) -> int:
    """The connections of each of `workers` processes that have `together`; at least the two that recovery needs."""
    return max(2, min(CONNECTIONS, together // workers))


def conninfo(url: str, password: str, timeout: float) -> str:
    """How the scorer connects to the decision log: its role, and limits on every wait."""
    longest = int(STATEMENT * timeout * 1000)
    limits = {"statement_timeout": longest, "idle_in_transaction_session_timeout": longest}
    # A table that another session locks must not use up the deadline of a request.
    limits["lock_timeout"] = int(timeout * 1000)
    # The server's side of the connection, which has these names there.
    limits |= {f"tcp_{name}": value for name, value in KEEPALIVE.items()}
    return make_conninfo(
        url,
        user=DECISIONS_OWNER,
        password=password,
        connect_timeout=max(1, round(timeout)),
        tcp_user_timeout=longest,
        application_name="scorer",
        options=" ".join(["-c timezone=UTC", *(f"-c {name}={value}" for name, value in limits.items())]),
        **KEEPALIVE,
    )


async def _within(seconds: float, call: Coroutine[Any, Any, Result]) -> Result:
    """The result of a call. Raises `OperationalError` after `seconds`, and abandons the call."""
    task = asyncio.create_task(call)
    loop = asyncio.get_running_loop()
    due = loop.time() + seconds
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done and loop.time() - due > LATE_SECONDS:
            # This process was stopped or too busy, and the result may be there to be read.
            done, _ = await asyncio.wait({task}, timeout=GRACE_SECONDS)
    finally:
        if not task.done():
            task.cancel()
            task.add_done_callback(_retrieve)
    if not done:
        raise _late(seconds)
    return task.result()


def _late(seconds: float) -> OperationalError:
    return OperationalError(f"no response within {seconds:.0f} s")


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Retrieve an abandoned task's exception, which asyncio would log."""
    if not task.cancelled():
        task.exception()


async def _configure(connection: AsyncConnection[DictRow]) -> None:
    """Parse JSON with orjson: recovery reads a lot of it."""
    set_json_loads(orjson.loads, connection)


def _as_list(kept: Iterable[bytes]) -> str:
    """Stored records as one JSON list."""
    return (b"[" + b",".join(kept) + b"]").decode()


def _as_record(row: dict[str, Any]) -> Record:
    """A row as the online store keeps it."""
    amount: Decimal = row["amount"]
    return row | {
        "amount": str(amount),
        "occurred_at": iso(row["occurred_at"]),
        "decided_at": iso(row["decided_at"]),
    }


def _as_report(row: dict[str, Any]) -> Report:
    location = (row["terminal_id"], row["second"], row["cents"])
    return Report(row["transaction_id"], row["reported"], location, row["applied"])
