"""The online state in Valkey: claim payments, keep answers, merge reports; its bytes: `contracts/online_state.py`."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
from libvalkey import pack_command
from valkey.asyncio import BlockingConnectionPool, Valkey
from valkey.asyncio.connection import AbstractConnection
from valkey.asyncio.retry import Retry
from valkey.backoff import ConstantBackoff
from valkey.exceptions import ConnectionError as ValkeyConnectionError
from valkey.exceptions import NoScriptError, ResponseError
from valkey.exceptions import TimeoutError as ValkeyTimeoutError

from contracts.online_state import (
    ADOPTED,
    APPLIED_KEY,
    DAYS_KEY,
    DECISIONS_KEY,
    KNOWN_TO,
    LOCATION,
    META_KEY,
    customer_key,
    index_key,
    payment_key,
    terminal_key,
)
from serving.errors import UnfitStateError
from serving.online_store.scripts import (
    ADOPT,
    CHECK_STAMP,
    CLAIM,
    KEEP_ANSWERS,
    LOST,
    MARK_ADOPTED,
    MERGE_REPORTS,
    RAISE_APPLIED,
    RESERVE,
    Script,
)
from serving.scoring.payment import Payment, Place, place_of

CONNECTIONS: Final = 32
TRIPS: Final = 16
"""Connections kept for trips, at most: the others of the pool are for everything else."""
Call = tuple[Sequence[str], Sequence[bytes]]


@dataclass(frozen=True)
class Claim:
    """A payment that is to be answered: its number in the order of application, and both histories with it in them."""

    payment: Payment
    applied: int
    customer: bytes
    terminal: bytes


@dataclass(frozen=True)
class Answered:
    """A payment that was answered before: its first answer, as it was kept."""

    answer: bytes


class Conflict:
    """A payment whose id is known with another body."""


Claimed = Claim | Answered | Conflict


def connect(url: str, password: str, timeout: float) -> Valkey:
    """A client of the online state that answers or fails within about `timeout` seconds."""
    pool = BlockingConnectionPool.from_url(
        url,
        password=password,
        max_connections=CONNECTIONS,
        timeout=timeout,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        # Every script is idempotent, so a connection that Valkey's restart closed is worth a second attempt.
        retry=Retry(ConstantBackoff(0.02), 1, supported_errors=(ValkeyConnectionError,)),
    )
    return Valkey.from_pool(pool)


class OnlineState:
    """What the scorer does with the online state. Every method raises `ValkeyError` where Valkey does not answer."""

    def __init__(self, client: Valkey, timeout: float) -> None:
        self._client = client
        self._timeout = timeout
        self._trips = asyncio.Semaphore(TRIPS)
        self._idle: list[AbstractConnection] = []
        self._run_id = ""

    async def unfit(self) -> str:
        """Why the state cannot be used by this code, empty where it can."""
        why = await self._call(CHECK_STAMP, [META_KEY], [])
        return str(why.decode())

    async def reserve(self, payments: Sequence[Payment]) -> int | None:
        """Take all these ids or none; the position of one that is known with another body, None where there is none.

        Raises `UnfitStateError` where the state is not fit.
        """
        keys = [META_KEY, *(payment_key(payment.transaction_id) for payment in payments)]
        answer = await self._call(RESERVE, keys, [payment.body for payment in payments])
        _refuse_unfit(answer)
        return int(answer[1]) - 1 if answer[0] == b"conflict" else None

    async def claim(self, payments: Sequence[Payment]) -> list[Claimed]:
        """Claim each payment, in this order, in one trip. Raises `UnfitStateError` where the state is not fit."""
        keys, arguments = [APPLIED_KEY, META_KEY], []
        for payment in payments:
            keys += _keys_of(payment)
            arguments += [payment.body, payment.customer_entry, payment.terminal_entry]
        answers = await self._call(CLAIM, keys, arguments)
        return [_claimed(payment, answer) for payment, answer in zip(payments, answers, strict=True)]

    async def keep_answers(self, answers: Sequence[tuple[Payment, bytes]]) -> list[bytes]:
        """Keep each answer and append it to the stream, unless its payment has one; the answers that are kept now."""
        if not answers:
            return []
        keys = [DECISIONS_KEY, *(payment_key(payment.transaction_id) for payment, _ in answers)]
        first = await self._call(KEEP_ANSWERS, keys, [answer for _, answer in answers])
        if first and first[0] == LOST:
            raise UnfitStateError("the online state lost its data between the claim of a payment and its answer")
        return [kept or answer for kept, (_, answer) in zip(first, answers, strict=True)]

    async def adopt(self, recorded: Sequence[tuple[Payment, bytes, int]]) -> list[int]:
        """Put payments with their recorded answers and numbers into the state; their numbers, new ones for 0."""
        keys, arguments = [APPLIED_KEY], []
        for payment, answer, applied in recorded:
            keys += _keys_of(payment)
            number = str(applied).encode()
            arguments += [payment.body, answer, number, payment.customer_entry, payment.terminal_entry]
        return [int(number) for number in await self._call(ADOPT, keys, arguments)]

    async def raise_applied(self, recorded: int, *, forgotten: bool) -> None:
        """Give no number again: up to the highest recorded one, nor later ones where some may be forgotten."""
        flag = b"1" if forgotten else b"0"
        await self._call(RAISE_APPLIED, [APPLIED_KEY, META_KEY], [str(recorded).encode(), flag])

    async def known_to(self) -> int | None:
        """The highest number that the state knew of when it was left; None where all above it is put back."""
        found: bytes | None = await self._client.hget(META_KEY, KNOWN_TO)  # type: ignore[misc]
        return int(found) if found else None

    async def forget_known_to(self) -> None:
        """All above it is put back."""
        await self._client.hdel(META_KEY, KNOWN_TO)  # type: ignore[misc]

    async def accept_run(self) -> str:
        """Use the Valkey that runs now; which run this is: another after each start or change of servers."""
        self._run_id = await self.present_run()
        return self._run_id

    async def present_run(self) -> str:
        """Which run of Valkey answers now."""
        return str((await self._client.info("server"))["run_id"])

    async def mark_adopted(self) -> None:
        """Say that every recorded decision is in the state, by a name that no other loss and repair had."""
        await self._call(MARK_ADOPTED, [META_KEY], [secrets.token_hex(8).encode()])

    async def adoption(self) -> bytes:
        """The name of the state's latest repair after a loss, empty where there was none."""
        found: bytes | None = await self._client.hget(META_KEY, ADOPTED)  # type: ignore[misc]
        return found or b""

    async def answer(self, transaction_id: int) -> bytes | None:
        """The answer kept for a payment."""
        found: bytes | None = await self._client.hget(payment_key(transaction_id), "answer")  # type: ignore[misc]
        return found

    async def unanswered(self, ids: Sequence[int]) -> list[int]:
        """The payments among these for which no answer is kept."""
        kept = await self._pipeline([("HEXISTS", payment_key(number), "answer") for number in ids])
        return [number for number, there in zip(ids, kept, strict=True) if not there]

    async def locate(self, ids: Sequence[int]) -> dict[int, Place]:
        """Where the payments were that are known here, whether scored or by way of the lake."""
        scored = await self._pipeline([("HMGET", payment_key(number), "body", "applied") for number in ids])
        found = {
            number: place_of(body) for number, (body, applied) in zip(ids, scored, strict=True) if body and applied
        }
        return found | await self._locate_in_index([number for number in ids if number not in found])

    async def merge_reports(self, entries: Mapping[int, bytes]) -> None:
        """Merge entries with the seconds of their reports, in order of place, into each terminal's history."""
        await self._run(MERGE_REPORTS, [([terminal_key(number)], [packed]) for number, packed in entries.items()])

    async def waiting(self) -> int:
        """How many decisions are not in PostgreSQL yet."""
        return int(await self._client.xlen(DECISIONS_KEY))

    async def _locate_in_index(self, ids: Sequence[int]) -> dict[int, Place]:
        if not ids:
            return {}
        days = sorted(day.decode() for day in await self._client.smembers(DAYS_KEY))  # type: ignore[misc]
        packed = [number.to_bytes(8, "big") for number in ids]
        found: dict[int, Place] = {}
        for places in await self._pipeline([("HMGET", index_key(day), *packed) for day in days]):
            found |= {number: _unpack_place(place) for number, place in zip(ids, places, strict=True) if place}
        return found

    async def _call(self, script: Script, keys: Sequence[str], arguments: Sequence[bytes]) -> Any:
        """Run a script once; once more, where Valkey has forgotten it."""
        packed = pack_command(("EVALSHA", script.sha, len(keys), *keys, *arguments))
        try:
            return await self._send(packed)
        except NoScriptError:
            await self._client.script_load(script.source)
            return await self._send(packed)

    async def _send(self, packed: bytes) -> Any:
        """One packed command's answer, as `execute_command` would get it, for less of the processor's time.

        It is packed in C, over a connection that is kept, with one clock for the whole trip.
        """
        async with self._trips:
            connection = self._idle.pop() if self._idle else await self._connection()

            async def ask() -> Any:
                if not connection.is_connected:
                    await connection.connect()  # type: ignore[no-untyped-call]
                    await self._refuse_another_run(connection)
                await connection.send_packed_command(packed)
                return await connection.read_response()

            try:
                async with asyncio.timeout(self._timeout):
                    return await connection.retry.call_with_retry(ask, lambda _: connection.disconnect())
            except TimeoutError as error:
                raise ValkeyTimeoutError(f"no answer within {self._timeout} s") from error
            finally:
                # One that failed is closed, and connects again when it is used.
                self._idle.append(connection)

    async def _connection(self) -> AbstractConnection:
        connection: AbstractConnection = await self._client.connection_pool.get_connection("EVALSHA")  # type: ignore[no-untyped-call]
        connection.socket_timeout = None
        try:
            async with asyncio.timeout(self._timeout):
                await self._refuse_another_run(connection)
        except BaseException as error:
            await self._client.connection_pool.release(connection)
            if isinstance(error, TimeoutError):
                raise ValkeyTimeoutError(f"no answer within {self._timeout} s") from error
            raise
        return connection

    async def _refuse_another_run(self, connection: AbstractConnection) -> None:
        """Raise `UnfitStateError` where a new connection leads to another run of Valkey than was made sound.

        However short it was away: what it forgot meanwhile is to be put back before it is asked anything.
        """
        await connection.send_command("INFO", "server")
        found = _run_id(await connection.read_response())
        if self._run_id and found != self._run_id:
            await connection.disconnect()
            raise UnfitStateError("Valkey was started anew")

    async def _run(self, script: Script, calls: Sequence[Call]) -> list[Any]:
        """Run a script for each call, in order, in one trip; once more, where Valkey has forgotten the script."""
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


def _claimed(payment: Payment, answer: list[bytes]) -> Claimed:
    _refuse_unfit(answer)
    if answer[0] == b"conflict":
        return Conflict()
    if answer[0] == b"answered":
        return Answered(answer[1])
    return Claim(payment, int(answer[1]), answer[2], answer[3])


def _refuse_unfit(answer: Sequence[Any]) -> None:
    if answer[0] == b"incompatible":
        raise UnfitStateError(f"the online state cannot be used: {answer[1].decode()}")


def _run_id(info: bytes) -> str:
    """From the answer to INFO as it comes over a connection."""
    lines = info.decode().splitlines()
    return next(line.partition(":")[2] for line in lines if line.startswith("run_id:"))


def _unpack_place(packed: bytes) -> Place:
    (place,) = np.frombuffer(packed, dtype=LOCATION).tolist()
    return cast(Place, place)
