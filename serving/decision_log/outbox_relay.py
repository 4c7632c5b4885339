"""Drain decisions from the stream into the decision log: in batches, each once, none lost.

An entry is acknowledged and deleted only after its row is committed; one that was read and not acknowledged, by this
process or by one that died, is read again, and its row is then there already.
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

from contracts.online_state import DECISIONS_KEY
from serving.decision_log.log import DecisionLog
from serving.observability.logging import event
from serving.observability.metrics import Metrics

GROUP: Final = "decision-log"
BATCH: Final = 100
"""PostgreSQL takes some milliseconds for so many; more would hold up what shares its core."""
BLOCK_MS: Final = 400
RECLAIM_SECONDS: Final = 5.0
PAUSE_SECONDS: Final = 0.5
GATHER_SECONDS: Final = 0.2
Entry = tuple[bytes, dict[bytes, bytes]]


class Drain:
    """Moves decisions from Valkey to PostgreSQL."""

    def __init__(self, client: Valkey, log: DecisionLog, metrics: Metrics, away: Callable[[Exception], None]) -> None:
        """`away` is told when Valkey does not answer, or has lost what it held."""
        self._away = away
        self._has_group = False
        self._client = client
        self._log = log
        self._metrics = metrics
        self._consumer = f"{socket.gethostname()}-{os.getpid()}"
        self._reclaimed_at = float("-inf")
        self._problem = ""

    async def run(self) -> None:
        """Drain for ever; where Valkey or PostgreSQL is away, go on when it is back."""
        while True:
            try:
                moved = await self._try(BLOCK_MS)
            except Exception:
                # Whatever it is: decisions wait in the stream until somebody has read this.
                event("drain failed", logging.ERROR, exc_info=True)
                moved = None
            if moved is None:
                await asyncio.sleep(PAUSE_SECONDS)
            elif moved < BATCH:
                # A batch costs nearly the same whatever its size, and the payments being scored pay for it.
                await asyncio.sleep(GATHER_SECONDS)

    async def finish(self) -> None:
        """Drain what there is; give up at the first failure, for the stream keeps it."""
        while moved := await self._try(None):
            pass
        if moved == 0:
            # Nothing is pending under its name, which will not come again.
            with contextlib.suppress(ValkeyError, OSError):
                await self._client.xgroup_delconsumer(DECISIONS_KEY, GROUP, self._consumer)

    async def _try(self, block_ms: int | None) -> int | None:
        """One batch; how many it had, None where it failed."""
        try:
            # First, so that it is told while PostgreSQL is away, which is when it matters.
            self._metrics.waiting.set(await self._client.xlen(DECISIONS_KEY))
            moved = await self._move(block_ms)
        except (ValkeyError, psycopg.Error, OSError) as error:
            if isinstance(error, ValkeyError):
                self._away(error)
            self._say(f"{type(error).__name__}: {error}".strip())
            return None
        self._say("")
        return moved

    async def _move(self, block_ms: int | None) -> int:
        entries = await self._next(block_ms)
        if entries:
            # One decision may be in the stream twice; the log takes the first.
            self._metrics.drained.inc(await self._log.append([fields[b"decision"] for _, fields in entries]))
            await self._forget([number for number, _ in entries])
        return len(entries)

    async def _next(self, block_ms: int | None) -> list[Entry]:
        try:
            await self._reclaim()
            self._has_group = True
            return await self._read("0", None) or await self._read(">", block_ms)
        except ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
            if self._has_group:
                # It was there: the stream is gone, and the histories with it.
                self._away(error)
            await self._make_group()
            self._has_group = True
            return await self._read(">", None)

    async def _make_group(self) -> None:
        try:
            await self._client.xgroup_create(DECISIONS_KEY, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            # Another worker was quicker.
            if not str(error).startswith("BUSYGROUP"):
                raise

    async def _reclaim(self) -> None:
        """Make ours what another process read and did not finish."""
        if time.monotonic() - self._reclaimed_at < RECLAIM_SECONDS:
            return
        idle = int(RECLAIM_SECONDS * 1000)
        await self._client.xautoclaim(DECISIONS_KEY, GROUP, self._consumer, idle, count=BATCH, justid=True)
        self._reclaimed_at = time.monotonic()

    async def _read(self, after: str, block_ms: int | None) -> list[Entry]:
        streams: Any = {DECISIONS_KEY: after}
        answer = await self._client.xreadgroup(GROUP, self._consumer, streams, count=BATCH, block=block_ms)
        # A pending entry that was deleted meanwhile comes without fields.
        return [(number, fields) for _, entries in answer for number, fields in entries if fields]

    async def _forget(self, numbers: Sequence[bytes]) -> None:
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.xack(DECISIONS_KEY, GROUP, *numbers)
            pipe.xdel(DECISIONS_KEY, *numbers)
            await pipe.execute()

    def _say(self, problem: str) -> None:
        """Log that it fails, and that it works again, once each."""
        if problem and not self._problem:
            event("decisions not drained", logging.WARNING, reason=problem, until_then="they wait in the stream")
        elif self._problem and not problem:
            event("decisions drained again")
        self._problem = problem
