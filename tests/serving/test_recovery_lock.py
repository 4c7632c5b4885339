"""The lock for recovery ends with its holder, also with one that is stopped. The scorer's sessions have limits."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from serving.decision_log import recovery_lock
from serving.decision_log.log import CONNECTIONS, PostgresDecisionLog, connections_per_worker, conninfo
from tests.serving.running import ROOT

T = TypeVar("T")
HOLDER = """
import asyncio, os
from serving.decision_log.log import PostgresDecisionLog

async def main():
    log = PostgresDecisionLog(os.environ["DECISIONS_URL"], os.environ["PASSWORD"], 1.0)
    await log.open()
    async with log.recovery_lock() as got:
        print(got, flush=True)
        await asyncio.sleep(3600)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def url(postgres: Any, make_database: Callable[[Any, str], str]) -> str:
    """A separate decision log: an advisory lock is of one database."""
    return make_database(postgres, "decisions_of_lock")


@pytest.fixture(scope="module")
def password(secrets: Path) -> str:
    return (secrets / "decisions_password").read_text().strip()


def on_log(url: str, password: str, work: Callable[[PostgresDecisionLog], Awaitable[T]]) -> T:
    async def run() -> T:
        log = PostgresDecisionLog(url, password, 1.0)
        await log.open()
        try:
            return await work(log)
        finally:
            await log.close()

    return asyncio.run(run())


async def acquire_within(log: PostgresDecisionLog, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        async with log.recovery_lock() as got:
            if got:
                return True
        await asyncio.sleep(0.1)
    return False


def test_a_stopped_holder_loses_the_lock_and_a_working_one_keeps_it(url: str, password: str) -> None:
    settings = os.environ | {"DECISIONS_URL": url, "PASSWORD": password}
    holder = subprocess.Popen([sys.executable, "-c", HOLDER], cwd=ROOT, env=settings, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout
        assert holder.stdout.readline() == "True\n"
        assert not on_log(url, password, lambda log: acquire_within(log, recovery_lock.LEASE_SECONDS + 2))
        os.kill(holder.pid, signal.SIGSTOP)
        assert on_log(url, password, lambda log: acquire_within(log, recovery_lock.LEASE_SECONDS + 5))
    finally:
        holder.kill()
        holder.wait()


def test_a_released_lock_leaves_a_session_without_a_lease(url: str, password: str) -> None:
    async def lease(log: PostgresDecisionLog) -> list[str]:
        found = []
        for _ in range(2):
            async with log.recovery_lock() as got:
                assert got
            (row,) = await log._rows("select current_setting('idle_session_timeout') as lease, pg_backend_pid() as pid")
            found.append(row)
        assert found[0] == found[1], "the connection is used again"
        return [row["lease"] for row in found]

    assert on_log(url, password, lease) == ["0", "0"]


def test_one_that_does_not_get_the_lock_has_no_lease(url: str, password: str) -> None:
    async def lease(log: PostgresDecisionLog) -> str:
        async with log.recovery_lock() as first, log._connection() as connection:
            assert (first, await recovery_lock.acquire(connection)) == (True, False)
            row = await (await connection.execute("select current_setting('idle_session_timeout') as lease")).fetchone()
            assert row
            return str(row["lease"])

    assert on_log(url, password, lease) == "0"


def test_the_end_of_a_lost_session_is_no_error(url: str, password: str, postgres: Any) -> None:
    async def lose(log: PostgresDecisionLog) -> bool:
        async with log.recovery_lock() as got:
            assert got
            with psycopg.connect(url, user="postgres", password=postgres.password, autocommit=True) as admin:
                admin.execute("select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted")
        return await acquire_within(log, 5)

    assert on_log(url, password, lose)


def test_a_stopped_process_keeps_no_transaction_open(url: str, password: str) -> None:
    async def limits(log: PostgresDecisionLog) -> dict[str, str]:
        names = ("idle_in_transaction_session_timeout", "statement_timeout", "tcp_keepalives_idle")
        return {name: (await log._rows(f"select current_setting('{name}') as found"))[0]["found"] for name in names}

    assert on_log(url, password, limits) == {
        "idle_in_transaction_session_timeout": "10s",
        "statement_timeout": "10s",
        "tcp_keepalives_idle": "5",
    }


def test_a_connection_over_a_dead_network_ends() -> None:
    found = conninfo_to_dict(conninfo("postgresql://127.0.0.1:5432/decisions", "secret", 1.0))
    names = ("keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout", "connect_timeout")
    assert {name: found[name] for name in names} == dict(zip(names, ["5", "2", "3", "10000", "1"], strict=True))


@pytest.mark.parametrize(("workers", "each"), [(1, CONNECTIONS), (10, CONNECTIONS), (16, 5), (40, 2), (64, 2)])
def test_all_workers_share_the_connections_and_each_has_two(workers: int, each: int) -> None:
    assert connections_per_worker(workers, 80) == each
