"""Connections to Valkey: scripts in one round trip each, over connections that are pinned to one run of the server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Final

from libvalkey import pack_command
from valkey.asyncio import BlockingConnectionPool, Valkey
from valkey.asyncio.connection import AbstractConnection
from valkey.exceptions import NoScriptError, ResponseError
from valkey.exceptions import TimeoutError as ValkeyTimeoutError

from serving.deadline import Deadline
from serving.errors import OnlineStoreUnavailableError
from serving.online_store.scripts import Script
from serving.retries import valkey_retry

CONNECTIONS: Final = 32
ROUND_TRIPS: Final = 16
"""Connections kept for scripts, at most; the rest of the pool serves everything else."""
Call = tuple[Sequence[str], Sequence[bytes]]


def connect(url: str, password: str, timeout: float) -> Valkey:
    """A Valkey client that answers or fails within about `timeout` seconds."""
    pool = BlockingConnectionPool.from_url(
        url,
        password=password,
        max_connections=CONNECTIONS,
        timeout=timeout,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=valkey_retry(),
    )
    return Valkey.from_pool(pool)


class ScriptConnection:
    """Runs scripts on Valkey. Every method raises `ValkeyError` if Valkey does not answer."""

    def __init__(self, client: Valkey, timeout: float) -> None:
        self._client = client
        self._timeout = timeout
        self._round_trips = asyncio.Semaphore(ROUND_TRIPS)
        self._idle: list[AbstractConnection] = []
        self._run_id = ""

    async def pin_run(self) -> str:
        """Accept only the Valkey server that runs now; its run id, a new one after every start."""
        self._run_id = await self.current_run()
        return self._run_id

    async def current_run(self) -> str:
        """The run id of the Valkey server that runs now."""
        return str((await self._client.info("server"))["run_id"])

    async def _call(self, script: Script, keys: Sequence[str], arguments: Sequence[bytes]) -> Any:
        """Run a script; load it first if Valkey does not have it."""
        packed = pack_command(("EVALSHA", script.sha, len(keys), *keys, *arguments))
        try:
            return await self._send(packed)
        except NoScriptError:
            await self._client.script_load(script.source)
            return await self._send(packed)

    async def _send(self, packed: bytes) -> Any:
        """The answer to one packed command, for half the CPU time of `execute_command`.

        The command is packed in C and sent over a connection that is kept, with one deadline for the round trip.
        """
        run = self._run_id
        async with self._round_trips:
            connection = self._idle.pop() if self._idle else await self._connection()

            async def ask() -> Any:
                if not connection.is_connected:
                    await connection.connect()  # type: ignore[no-untyped-call]
                    await self._require_pinned_run(connection)
                if self._run_id != run:
                    # Pinned meanwhile: a payment that waited must not be claimed before recovery is complete.
                    raise OnlineStoreUnavailableError("Valkey was restarted")
                await connection.send_packed_command(packed)
                return await connection.read_response()

            try:
                async with Deadline(self._timeout):
                    return await connection.retry.call_with_retry(ask, lambda _: connection.disconnect())
            except TimeoutError as error:
                raise ValkeyTimeoutError(f"no response within {self._timeout} s") from error
            finally:
                # A failed connection is closed and reconnects on its next use.
                self._idle.append(connection)

    async def _connection(self) -> AbstractConnection:
        connection: AbstractConnection = await self._client.connection_pool.get_connection("EVALSHA")  # type: ignore[no-untyped-call]
        connection.socket_timeout = None
        try:
            async with Deadline(self._timeout):
                await self._require_pinned_run(connection)
        except BaseException as error:
            await self._client.connection_pool.release(connection)
            if isinstance(error, TimeoutError):
                raise ValkeyTimeoutError(f"no response within {self._timeout} s") from error
            raise
        return connection

    async def _require_pinned_run(self, connection: AbstractConnection) -> None:
        """Raise `OnlineStoreUnavailableError` if a new connection leads to a run of Valkey other than the pinned one.

        A restart may lose the last second of writes, so recovery comes before any other command.
        """
        await connection.send_command("INFO", "server")
        found = _run_id(await connection.read_response())
        if self._run_id and found != self._run_id:
            await connection.disconnect()
            raise OnlineStoreUnavailableError("Valkey was restarted")

    async def _run(self, script: Script, calls: Sequence[Call]) -> list[Any]:
        """Run a script for each call, in order, in one round trip; load it first if Valkey does not have it."""
        commands = [("EVALSHA", script.sha, len(keys), *keys, *arguments) for keys, arguments in calls]
        try:
            return await self._pipeline(commands)
        except NoScriptError:
            await self._client.script_load(script.source)
            return await self._pipeline(commands)

    async def _pipeline(self, commands: Iterable[tuple[Any, ...]]) -> list[Any]:
        async with self._client.pipeline(transaction=False) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            answers: list[Any] = await pipe.execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, ResponseError):
                raise answer
        return answers


def _run_id(info: bytes) -> str:
    """The run id in the answer to INFO."""
    lines = info.decode().splitlines()
    return next(line.partition(":")[2] for line in lines if line.startswith("run_id:"))
