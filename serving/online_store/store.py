"""The online store in Valkey, in the format of `contracts/online_state.py`: commands in, typed answers out."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

import numpy as np
from libvalkey import pack_command
from valkey.asyncio import BlockingConnectionPool, Valkey
from valkey.asyncio.connection import AbstractConnection
from valkey.exceptions import NoScriptError, ResponseError
from valkey.exceptions import TimeoutError as ValkeyTimeoutError

from contracts.labels import DAY
from contracts.online_state import (
    APPLIED_BEFORE_RECOVERY,
    APPLIED_KEY,
    DAYS_KEY,
    DECISIONS_KEY,
    IDS_KEY,
    LOCATION,
    META_KEY,
    RECONCILED,
    customer_key,
    index_key,
    payment_key,
    terminal_key,
    with_late,
)
from serving.errors import OnlineStoreUnavailableError
from serving.online_store.protocol import Answered, AskLog, Claim, Claimed, Conflict
from serving.online_store.scripts import (
    ADVANCE_SEQUENCE,
    CHECK_STAMP,
    CLAIM,
    LOCATE,
    LOST,
    MARK_RECONCILED,
    MAY_HAVE_EXPIRED,
    MERGE_DECISIONS,
    MERGE_REPORTS,
    RESERVE,
    STORE_ANSWERS,
    Script,
)
from serving.retries import valkey_retry
from serving.scoring.payment import Location, Payment

CONNECTIONS: Final = 32
ROUND_TRIPS: Final = 16
"""Connections kept for scripts, at most; the rest of the pool serves everything else."""
REPORTS_AT_ONCE: Final = 100
"""Reports in one script or round trip. Each unknown id is looked up in the index of every day, up to 45 of them, and
payments wait for Valkey meanwhile, some 5 ms."""
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


class ValkeyOnlineStore:
    """Implements the protocols of the online store. Every method raises `ValkeyError` if Valkey does not answer."""

    def __init__(self, client: Valkey, timeout: float, answer_seconds: int = 2 * DAY) -> None:
        """`answer_seconds`: how long answers are kept, a day at least."""
        self._client = client
        self._keep = str(answer_seconds).encode()
        self._timeout = timeout
        self._round_trips = asyncio.Semaphore(ROUND_TRIPS)
        self._reports = asyncio.Semaphore(1)
        self._idle: list[AbstractConnection] = []
        self._run_id = ""

    async def incompatible(self) -> str:
        """Why this code cannot use the stored state, empty if it can."""
        why = await self._call(CHECK_STAMP, [META_KEY], [])
        return str(why.decode())

    async def reserve(self, payments: Sequence[Payment], *, log_asked: bool = False) -> int | AskLog | None:
        """Reserve all these ids or none; the index of a payment that conflicts, None if none does.

        Raises `OnlineStoreUnavailableError` if the state is incompatible.
        """
        keys = [META_KEY, IDS_KEY, *(payment_key(payment.transaction_id) for payment in payments)]
        bodies = [payment.body for payment in payments]
        answer = await self._call(RESERVE, keys, [self._keep, _flag(log_asked), *bodies])
        _raise_if_incompatible(answer)
        if answer[0] == b"ask":
            return AskLog([payments[n - 1] for n in answer[1]])
        return int(answer[1]) - 1 if answer[0] == b"conflict" else None

    async def claim(self, payments: Sequence[Payment], *, log_asked: bool = False) -> list[Claimed] | AskLog:
        """Claim the first payments, at least one; the fewer, the longer their histories. They are in order of position.

        Raises `OnlineStoreUnavailableError` if the state is incompatible.
        """
        keys, arguments = [APPLIED_KEY, META_KEY, IDS_KEY], [self._keep, _flag(log_asked)]
        for payment in payments:
            keys += _keys_of(payment)
            arguments += [payment.body, payment.customer_entry, payment.terminal_entry]
        state, answers, *rest = await self._call(CLAIM, keys, arguments)
        if state == b"ask":
            return AskLog([payments[n - 1] for n in answers])
        (parts,) = rest
        histories = [with_late(history, late) for history, late in zip(parts[::2], parts[1::2], strict=True)]
        return [_claimed(payment, answer, histories) for payment, answer in zip(payments, answers, strict=False)]

    async def store_answers(self, answers: Sequence[tuple[Payment, bytes]]) -> list[bytes]:
        """Store each claimed payment's answer, unless it has one, and append it to the outbox; the stored answers.

        Raises `OnlineStoreUnavailableError` if a claim is gone.
        """
        if not answers:
            return []
        keys = [DECISIONS_KEY, *(payment_key(payment.transaction_id) for payment, _ in answers)]
        first = await self._call(STORE_ANSWERS, keys, [answer for _, answer in answers])
        if first and first[0] == LOST:
            raise OnlineStoreUnavailableError("Valkey lost its data between the claim of a payment and its response")
        return [kept or answer for kept, (_, answer) in zip(first, answers, strict=True)]

    async def merge_decisions(self, recorded: Sequence[tuple[Payment, bytes, int]]) -> list[int]:
        """Write payments with their recorded answers and numbers (0: give a new one); their numbers."""
        ordered = sorted(range(len(recorded)), key=lambda n: recorded[n][0].position)
        numbers: list[int] = []
        while len(numbers) < len(ordered):
            numbers += await self._merge_some([recorded[n] for n in ordered[len(numbers) :]])
        found = dict(zip(ordered, numbers, strict=True))
        return [found[n] for n in range(len(recorded))]

    async def _merge_some(self, recorded: Sequence[tuple[Payment, bytes, int]]) -> list[int]:
        """Write the first payments, at least one; the fewer, the longer their histories. Ordered by position."""
        keys, arguments = [APPLIED_KEY, IDS_KEY], [self._keep]
        for payment, answer, applied in recorded:
            keys += _keys_of(payment)
            number = str(applied).encode()
            arguments += [payment.body, answer, number, payment.customer_entry, payment.terminal_entry]
        return [int(number) for number in await self._call(MERGE_DECISIONS, keys, arguments)]

    async def advance_sequence(self, recorded: int, *, forgotten: bool) -> None:
        """Never reuse a sequence number: go above the highest recorded one, and far above if some may be forgotten."""
        flag = b"1" if forgotten else b"0"
        await self._call(ADVANCE_SEQUENCE, [APPLIED_KEY, META_KEY], [str(recorded).encode(), flag])

    async def applied_before_recovery(self) -> int | None:
        """The counter before recovery raised it; None once all decisions above it are replayed."""
        found: bytes | None = await self._client.hget(META_KEY, APPLIED_BEFORE_RECOVERY)  # type: ignore[misc]
        return int(found) if found else None

    async def clear_applied_before_recovery(self) -> None:
        """Record that all decisions above it are replayed."""
        await self._client.hdel(META_KEY, APPLIED_BEFORE_RECOVERY)  # type: ignore[misc]

    async def may_have_expired(self, highest: int) -> None:
        """Note that the answers to ids up to `highest` may have expired."""
        await self._call(MAY_HAVE_EXPIRED, [IDS_KEY], [highest.to_bytes(8, "big")])

    async def pin_run(self) -> str:
        """Accept only the Valkey server that runs now; its run id, a new one after every start."""
        self._run_id = await self.current_run()
        return self._run_id

    async def current_run(self) -> str:
        """The run id of the Valkey server that runs now."""
        return str((await self._client.info("server"))["run_id"])

    async def mark_reconciled(self) -> None:
        """Record in the stamp, as a new random id, that every recorded decision is in the state."""
        await self._call(MARK_RECONCILED, [META_KEY], [secrets.token_hex(8).encode()])

    async def reconciliation_id(self) -> bytes:
        """The id that `mark_reconciled` wrote last; empty if the state has none, as after a loss of data."""
        found: bytes | None = await self._client.hget(META_KEY, RECONCILED)  # type: ignore[misc]
        return found or b""

    async def answer(self, transaction_id: int) -> bytes | None:
        """A payment's stored answer."""
        found: bytes | None = await self._client.hget(payment_key(transaction_id), "answer")  # type: ignore[misc]
        return found

    async def unanswered(self, ids: Sequence[int]) -> list[int]:
        """The payments among these without a stored answer."""
        kept = await self._pipeline([("HEXISTS", payment_key(number), "answer") for number in ids])
        return [number for number, there in zip(ids, kept, strict=True) if not there]

    async def locate(self, ids: Sequence[int]) -> dict[int, Location]:
        """Terminal, second and cents of the payments that are known, whether scored or read from the lake.

        Looked up in chunks, one at a time for all callers, so that payments do not wait for a large report.
        """
        found: dict[int, Location] = {}
        for start in range(0, len(ids), REPORTS_AT_ONCE):
            async with self._reports:
                found |= await self._locate(ids[start : start + REPORTS_AT_ONCE])
        return found

    async def merge_reports(self, entries: Mapping[int, bytes]) -> None:
        """Merge packed entries with the seconds of their reports into each terminal's history."""
        calls = [([terminal_key(number)], [packed]) for number, packed in entries.items()]
        for start in range(0, len(calls), REPORTS_AT_ONCE):
            async with self._reports:
                await self._run(MERGE_REPORTS, calls[start : start + REPORTS_AT_ONCE])

    async def _locate(self, ids: Sequence[int]) -> dict[int, Location]:
        keys = [DAYS_KEY, *map(payment_key, ids)]
        arguments = [index_key("").encode(), *(number.to_bytes(8, "big") for number in ids)]
        (locations,) = await self._run(LOCATE, [(keys, arguments)])
        return {number: _unpack_location(packed) for number, packed in zip(ids, locations, strict=True) if packed}

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
        async with self._round_trips:
            connection = self._idle.pop() if self._idle else await self._connection()

            async def ask() -> Any:
                if not connection.is_connected:
                    await connection.connect()  # type: ignore[no-untyped-call]
                    await self._require_pinned_run(connection)
                await connection.send_packed_command(packed)
                return await connection.read_response()

            try:
                async with asyncio.timeout(self._timeout):
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
            async with asyncio.timeout(self._timeout):
                await self._require_pinned_run(connection)
        except BaseException as error:
            await self._client.connection_pool.release(connection)
            if isinstance(error, TimeoutError):
                raise ValkeyTimeoutError(f"no response within {self._timeout} s") from error
            raise
        return connection

    async def _require_pinned_run(self, connection: AbstractConnection) -> None:
        """Raise `OnlineStoreUnavailableError` if a new connection leads to a run of Valkey other than the pinned one.

        A restart may lose the last second of writes, so recovery comes before anything else is asked.
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


def _keys_of(payment: Payment) -> list[str]:
    return [payment_key(payment.transaction_id), customer_key(payment.customer_id), terminal_key(payment.terminal_id)]


def _claimed(payment: Payment, answer: list[Any], histories: Sequence[bytes]) -> Claimed:
    _raise_if_incompatible(answer)
    if answer[0] == b"conflict":
        return Conflict()
    if answer[0] == b"answered":
        return Answered(answer[1])
    number, customer, terminal = answer
    return Claim(payment, int(number), histories[customer - 1], histories[terminal - 1])


def _flag(is_so: bool) -> bytes:
    return b"1" if is_so else b"0"


def _raise_if_incompatible(answer: Sequence[Any]) -> None:
    if answer[0] == b"incompatible":
        raise OnlineStoreUnavailableError(answer[1].decode())


def _run_id(info: bytes) -> str:
    """The run id in the answer to INFO."""
    lines = info.decode().splitlines()
    return next(line.partition(":")[2] for line in lines if line.startswith("run_id:"))


def _unpack_location(packed: bytes) -> Location:
    (location,) = np.frombuffer(packed, dtype=LOCATION).tolist()
    return cast(Location, location)
