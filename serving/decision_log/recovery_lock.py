"""The lock under which one scorer at a time recovers the online store: a lease, which ends with its holder.

PostgreSQL itself ends the session of a holder that is silent for `LEASE_SECONDS`: one that is stopped, or cut off from
the network. That it may resume later is harmless, because the online store accepts the end of a recovery only from the
scorer that began the latest one (`lua/finish_recovery.lua`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from psycopg import AsyncConnection, Error

LEASE_SECONDS: Final = 5.0
HEARTBEAT_SECONDS: Final = 1.0
_LOCK: Final = 7_240_462
_ACQUIRE: Final = f"""
select got, set_config('idle_session_timeout', case when got then '{LEASE_SECONDS:.0f}s' else '0' end, false)
from (select pg_try_advisory_lock({_LOCK}) as got offset 0) as attempt
"""
_HEARTBEAT: Final = "select 1"
_RELEASE: Final = f"select pg_advisory_unlock({_LOCK}), set_config('idle_session_timeout', '0', false)"
Connection = AsyncConnection[dict[str, Any]]


async def acquire(connection: Connection) -> bool:
    """Take the lock if it is free, for as long as the session sends a query every `LEASE_SECONDS`."""
    row = await (await connection.execute(_ACQUIRE)).fetchone()
    return bool(row and row["got"])


@asynccontextmanager
async def kept(connection: Connection, patience: float) -> AsyncIterator[None]:
    """Keep a lock that was acquired on this connection until the context ends, then release it."""
    over = asyncio.Event()
    heartbeat = asyncio.create_task(_beat(connection, over))
    try:
        yield
    finally:
        over.set()
        await _release(connection, heartbeat, patience)


async def _beat(connection: Connection, over: asyncio.Event) -> None:
    # After an error the lock is lost: another scorer may recover the store too, which is harmless.
    with suppress(Error):
        while not over.is_set():
            await connection.execute(_HEARTBEAT)
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await over.wait()


async def _release(connection: Connection, heartbeat: asyncio.Task[None], patience: float) -> None:
    try:
        async with asyncio.timeout(patience):
            await heartbeat
            await connection.execute(_RELEASE)
    except (Error, TimeoutError):
        # The lock ends with its connection.
        await connection.close()
