"""Relay accepted fraud reports from Valkey to PostgreSQL.

The stream `fraud_reports` is a transactional outbox like `decisions`, but reports are few and writing one again changes
nothing. So every scorer reads the whole stream, without a consumer group, and deletes what is committed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
import psycopg
from valkey.asyncio import Valkey
from valkey.exceptions import ValkeyError

from contracts.online_state import REPORTS_KEY
from serving.decision_log.outbox_relay import UNRECORDABLE, reason_of
from serving.decision_log.problems import problem_of
from serving.decision_log.protocol import AppendableReports
from serving.observability.logging import event
from serving.observability.metrics import Metrics
from serving.observability.transition_logger import TransitionLogger

BATCH: Final = 20
"""Entries, of up to 250 reports each."""
SECONDS: Final = 0.5
SET_ASIDE_KEY: Final = f"{REPORTS_KEY}:set_aside"
MOVE: Final = """
if redis.call('XDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('XADD', KEYS[2], '*', unpack(ARGV, 2))
return 1
"""
Entry = tuple[bytes, Mapping[bytes, bytes]]
INVALID: Final = (*UNRECORDABLE, KeyError, TypeError, ValueError)
"""Errors of the data, which no retry overcomes."""


class ReportRelay:
    """Moves fraud reports from the outbox to the decision log."""

    def __init__(self, client: Valkey, log: AppendableReports, metrics: Metrics) -> None:
        self.problem = ""
        """Why PostgreSQL takes no fraud reports, for `/readyz`; empty if it does."""
        self._client = client
        self._log = log
        self._metrics = metrics
        self._transitions = TransitionLogger("fraud reports not relayed", recovered="fraud reports relayed again")

    async def run(self) -> None:
        """Relay until cancelled; while Valkey or PostgreSQL is unavailable, retry."""
        while True:
            try:
                if await self._try() == BATCH:
                    continue
            except Exception as error:
                # An unexpected error is logged with its trace and retried: reports wait in the stream.
                event("report relay failed", logging.ERROR, exc_info=True)
                self.problem = f"the relay of fraud reports failed ({type(error).__name__}): the log has the trace"
            await asyncio.sleep(SECONDS)

    async def finish(self) -> None:
        """Relay what is left; stop at the first failure, since the stream keeps it."""
        while await self._try():
            pass

    async def _try(self) -> int:
        """Relay one batch; its size, 0 if it failed."""
        try:
            self._metrics.reports_waiting.set(await self._client.xlen(REPORTS_KEY))
            entries: list[Entry] = await self._client.xrange(REPORTS_KEY, count=BATCH)
            if entries:
                await self._record(entries)
        except (ValkeyError, psycopg.Error, OSError) as error:
            self.problem = problem_of(error) if isinstance(error, psycopg.Error) else ""
            reason = f"{type(error).__name__}: {reason_of(error)}".strip()
            self._transitions.update(reason, until_then="they wait in the stream")
            return 0
        self.problem = ""
        self._transitions.update("")
        return len(entries)

    async def _record(self, entries: Sequence[Entry]) -> None:
        """Record entries and delete them; one that PostgreSQL can never take is set aside."""
        try:
            await self._log.append_reports([row for _, fields in entries for row in _rows(fields)])
        except INVALID as error:
            if len(entries) == 1:
                await self._set_aside(*entries[0], reason_of(error))
                return
            for entry in entries:
                await self._record([entry])
            return
        await self._client.xdel(REPORTS_KEY, *(number for number, _ in entries))

    async def _set_aside(self, number: bytes, fields: Mapping[bytes, bytes], reason: str) -> None:
        """Move an entry to the stream `SET_ASIDE_KEY`, with the reason, unless another worker has."""
        values = [part for field in (dict(fields) | {b"reason": reason.encode()}).items() for part in field]
        moved = await self._client.execute_command("EVAL", MOVE, 2, REPORTS_KEY, SET_ASIDE_KEY, number, *values)  # type: ignore[no-untyped-call]
        if not moved:
            return
        self._metrics.set_aside.inc()
        event("fraud reports set aside", logging.ERROR, entry=number.decode(), stream=SET_ASIDE_KEY, reason=reason)


def _rows(fields: Mapping[bytes, bytes]) -> list[dict[str, Any]]:
    """The rows of one entry; they have the number of the entry."""
    applied = int(fields[b"applied"])
    return [row | {"applied": applied} for row in orjson.loads(fields[b"reports"])]
