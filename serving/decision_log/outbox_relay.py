"""Relay decisions from Valkey to PostgreSQL: in batches, each recorded once, none lost.

The stream `decisions` is a transactional outbox: one script stores a payment's answer and appends it to the stream, so
neither exists without the other. The relay deletes an entry only after its row is committed. An entry that was read and
not acknowledged, by this process or one that died, is read again; its row then exists already.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import psycopg
from valkey.asyncio import Valkey
from valkey.exceptions import ResponseError, ValkeyError
from valkey.exceptions import TimeoutError as ValkeyTimeoutError

from contracts.online_state import DECISIONS_KEY
from serving.decision_log.backpressure import Backpressure, Memory
from serving.decision_log.problems import problem_of
from serving.decision_log.protocol import Appendable
from serving.observability.logging import event
from serving.observability.metrics import Metrics
from serving.observability.transition_logger import TransitionLogger
from serving.retries import OUTBOX_SECONDS

GROUP: Final = "decision-log"
BATCH: Final = 100
"""Batch size while the outbox is short. PostgreSQL takes some milliseconds for these; a larger batch would delay the
processes on PostgreSQL's core."""
MANY: Final = 1_000
"""Outbox length from which larger batches are used; single payments alone never reach it."""
LARGEST_BATCH: Final = 2_000
"""Batch size while the outbox is long: a busy event loop runs the relay rarely, so each run must move many."""
MEMORY_SECONDS: Final = 0.1
"""How often Valkey is asked for its memory, while there is enough: in a second, batches could fill what is left."""
BLOCK_MS: Final = 400
RECLAIM_SECONDS: Final = 5.0
GATHER_SECONDS: Final = 0.2
Entry = tuple[bytes, dict[bytes, bytes]]
SET_ASIDE_KEY: Final = f"{DECISIONS_KEY}:set_aside"
"""The stream of decisions that PostgreSQL rejects, each with the reason; only people read it."""
UNRECORDABLE: Final = (
    psycopg.DataError,
    psycopg.IntegrityError,
    UnicodeDecodeError,
    # JSON that is nested too deeply, or too long: psycopg counts these among the errors of the server.
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.StatementTooComplex,
)
"""Errors of the data, which no retry overcomes."""


class OutboxRelay:
    """Moves decisions from the outbox to the decision log."""

    def __init__(
        self,
        client: Valkey,
        log: Appendable,
        metrics: Metrics,
        backpressure: Backpressure,
        on_failure: Callable[[Exception], None],
    ) -> None:
        """`on_failure` is called when Valkey does not answer, or has lost its data."""
        self.problem = ""
        """Why PostgreSQL accepts no decisions, for `/readyz`; empty if it does."""
        self._on_failure = on_failure
        self._has_group = False
        self._timed_out = False
        """Whether Valkey did not answer in time the last time."""
        self._client = client
        self._log = log
        self._metrics = metrics
        self._consumer = f"{socket.gethostname()}-{os.getpid()}"
        self._backpressure = backpressure
        # Whether entries may be pending under this consumer's name: read and not acknowledged.
        self._unfinished = True
        self._rereading = False
        self._reclaimed_at = float("-inf")
        self._memory = Memory()
        self._memory_at = float("-inf")
        self._transitions = TransitionLogger("decisions not relayed", recovered="decisions relayed again")

    async def run(self) -> None:
        """Relay until cancelled; while Valkey or PostgreSQL is unavailable, retry."""
        while True:
            try:
                moved = await self._try(BLOCK_MS)
            except Exception as error:
                # An unexpected error is logged with its trace and retried: decisions wait in the stream.
                event("outbox relay failed", logging.ERROR, exc_info=True)
                self.problem = f"the relay of decisions failed ({type(error).__name__}): the log has the trace"
                moved = None
            if moved is None:
                await asyncio.sleep(OUTBOX_SECONDS)
            elif moved < BATCH:
                # A batch of any size costs nearly the same, and delays the payments being scored.
                await asyncio.sleep(GATHER_SECONDS)

    async def finish(self) -> None:
        """Relay what is left; stop at the first failure, since the stream keeps it."""
        moved: int | None = 1
        while moved:
            self._unfinished = True
            moved = await self._try(None)
        if moved == 0:
            # Nothing is pending under this consumer's name, which is not used again.
            with contextlib.suppress(ValkeyError, OSError):
                await self._client.xgroup_delconsumer(DECISIONS_KEY, GROUP, self._consumer)

    async def _try(self, block_ms: int | None) -> int | None:
        """Relay one batch; its size, None if it failed."""
        try:
            moved = await self._move(block_ms)
        except (ValkeyError, psycopg.Error, OSError) as error:
            self.problem = problem_of(error) if isinstance(error, psycopg.Error) else ""
            if isinstance(error, ValkeyError) and (self._timed_out or not isinstance(error, ValkeyTimeoutError)):
                self._on_failure(error)
            # Once may be this process's fault: if it was stopped or too busy, every answer comes too late.
            self._timed_out = isinstance(error, ValkeyTimeoutError)
            self._transitions.update(
                f"{type(error).__name__}: {reason_of(error)}".strip(), until_then="they wait in the stream"
            )
            return None
        self.problem, self._timed_out = "", False
        self._transitions.update("")
        return moved

    async def _move(self, block_ms: int | None) -> int:
        entries = await self._next(block_ms)
        if entries:
            await self._record(entries)
        self._unfinished = self._rereading
        return len(entries)

    async def _record(self, entries: Sequence[Entry]) -> None:
        """Record entries and delete them. One that PostgreSQL can never take is set aside; the others are recorded."""
        try:
            # A decision may be in the stream twice; the log takes the first.
            records = [fields.get(b"decision", b"null") for _, fields in entries]
            self._metrics.drained.inc(await self._log.append(records))
        except UNRECORDABLE as error:
            if len(entries) == 1:
                await self._set_aside(*entries[0], reason_of(error))
                return
            middle = len(entries) // 2
            await self._record(entries[:middle])
            await self._record(entries[middle:])
            return
        await self._acknowledge([number for number, _ in entries])

    async def _set_aside(self, number: bytes, fields: dict[bytes, bytes], reason: str) -> None:
        """Move an entry to the stream `SET_ASIDE_KEY`, with the reason; one transaction, so it is in one of the two."""
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.xadd(SET_ASIDE_KEY, fields | {b"reason": reason.encode()})
            pipe.xack(DECISIONS_KEY, GROUP, number)
            pipe.xdel(DECISIONS_KEY, number)
            await pipe.execute()
        self._metrics.set_aside.inc()
        event("decision set aside", logging.ERROR, entry=number.decode(), stream=SET_ASIDE_KEY, reason=reason)

    async def _next(self, block_ms: int | None) -> list[Entry]:
        try:
            await self._reclaim()
            self._has_group = True
            self._rereading = self._unfinished
            if self._rereading and (entries := await self._read("0", None)):
                return entries
            self._rereading, self._unfinished = False, True
            return await self._read(">", block_ms)
        except ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
            if self._has_group:
                # The group existed: the stream is lost, and the histories with it.
                self._on_failure(error)
            await self._make_group()
            self._has_group = True
            return await self._read(">", None)

    async def _make_group(self) -> None:
        try:
            await self._client.xgroup_create(DECISIONS_KEY, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            # Another worker was faster.
            if not str(error).startswith("BUSYGROUP"):
                raise

    async def _reclaim(self) -> None:
        """Take over what another process read and did not finish, or this one whose connection broke."""
        if time.monotonic() - self._reclaimed_at < RECLAIM_SECONDS:
            return
        idle = int(RECLAIM_SECONDS * 1000)
        claimed = await self._client.xautoclaim(
            DECISIONS_KEY, GROUP, self._consumer, idle, count=LARGEST_BATCH, justid=True
        )
        self._unfinished = self._unfinished or bool(claimed)
        self._reclaimed_at = time.monotonic()

    async def _read(self, after: str, block_ms: int | None) -> list[Entry]:
        """Measure and read, in one round trip: on a busy event loop each one takes long."""
        streams: Any = {DECISIONS_KEY: after}
        count = batch_size(self._backpressure.waiting)
        measure = self._memory.scarce or time.monotonic() - self._memory_at >= MEMORY_SECONDS
        async with self._client.pipeline(transaction=False) as pipe:
            pipe.xlen(DECISIONS_KEY)
            if measure:
                pipe.info("memory")
            pipe.xreadgroup(GROUP, self._consumer, streams, count=count, block=block_ms)
            # Raised here, since the pipeline would put its own words before the error's.
            answers = await pipe.execute(raise_on_error=False)
        for error in answers:
            if isinstance(error, Exception):
                raise error
        waiting, *info, found = answers
        self._measured(waiting, info)
        # A pending entry that was deleted meanwhile comes without fields.
        return [(number, fields) for _, entries in found for number, fields in entries if fields]

    def _measured(self, waiting: int, info: Sequence[dict[str, Any]]) -> None:
        """Pass on what was measured, before PostgreSQL is queried: it matters most while PostgreSQL is unavailable."""
        if info:
            self._memory = Memory.of(info[0])
            self._memory_at = time.monotonic()
        self._backpressure.measured(waiting, self._memory)

    async def _acknowledge(self, numbers: Sequence[bytes]) -> None:
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.xack(DECISIONS_KEY, GROUP, *numbers)
            pipe.xdel(DECISIONS_KEY, *numbers)
            await pipe.execute()


def batch_size(waiting: int) -> int:
    """How many decisions to move at a time while so many wait."""
    return min(waiting // 2, LARGEST_BATCH) if waiting >= MANY else BATCH


def reason_of(error: Exception) -> str:
    """An error in one line, without the row that PostgreSQL quotes: it holds a customer and an amount."""
    told = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return told or " ".join(str(error).split())
