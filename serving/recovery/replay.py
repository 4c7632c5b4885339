"""Write into the online store what the decision log has: decisions and fraud reports.

Merging is idempotent and its order does not matter (`contracts/lua/merge.lua`), so reading too much is harmless.
Nothing is read in the order of a scorer's clock, which may be wrong. Sequence numbers tell what a store lacks that lost
its latest writes; the instants of the payments themselves tell what an empty one needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from datetime import date, datetime
from typing import Any, Final, TypeVar

from contracts.days import first_second
from contracts.online_state import CUSTOMER_KEEP, TERMINAL_KEEP
from contracts.transaction import EPOCH, MAX_ID, epoch_seconds, from_epoch_seconds
from serving.decision_log.protocol import ReconcilableLog
from serving.observability.metrics import Metrics
from serving.online_store.protocol import ReconcilableStore
from serving.scoring.decision_records import Record, pack
from serving.scoring.payment import Payment
from serving.scoring.report import Report

CHUNK: Final = 250
IN_PROGRESS: Final = 10_000
"""Payments that may have a number but no answer yet at an instant: a store may keep the one and lose the other."""
KEEP: Final = max(CUSTOMER_KEEP, TERMINAL_KEEP)
Item = TypeVar("Item")
Read = Callable[[Item | None], Coroutine[Any, Any, list[Item]]]
"""Reads the next chunk, given the last item of the chunk before."""


class Replay:
    """Reads the decision log and merges it into the online store."""

    def __init__(self, store: ReconcilableStore, log: ReconcilableLog, metrics: Metrics) -> None:
        self._store = store
        self._log = log
        self._metrics = metrics

    async def everything(self) -> int:
        """All that the state needs after a loss; the number of decisions.

        Later decisions are backfilled as they are made, so stop at the highest number recorded now.
        """
        since = needed_since(await self._store.written_to())
        done = await each_chunk(self._decisions(since, await self._log.highest()), self.merge)
        await each_chunk(self._reports_since(since), self._store.merge_reports)
        return done

    async def above(self, number: int) -> None:
        """All that a store lacks whose counter was at a number, whichever scorer gave the numbers above it."""
        await self.these(await self._log.numbered(max(0, number - IN_PROGRESS), number))
        await each_chunk(self._decisions_above(number), self.merge)
        await each_chunk(self._reports_above(number), self._store.merge_reports)

    async def pending(self) -> int:
        """The payments pending backfill; how many they were."""

        async def read(last: Record | None) -> list[Record]:
            return await self._log.pending_backfill(last["transaction_id"] if last else -1, CHUNK)

        return await each_chunk(read, self.merge_pending)

    async def these(self, ids: list[int]) -> None:
        """The decisions on these payments, as recorded: another scorer's answer may have come first."""
        for asked in chunks(ids):
            # A payment's answer is stored after everything else of it.
            unanswered = await self._store.unanswered(asked)
            await self.merge(list((await self._log.find(unanswered)).values()) if unanswered else [])

    async def merge_pending(self, records: Sequence[Record]) -> None:
        """Merge decisions and note in the log that they are no longer pending backfill."""
        if records:
            await self._log.mark_backfilled(await self.merge(records))
            self._metrics.repaired.inc(len(records))

    async def merge(self, records: Sequence[Record]) -> dict[int, int]:
        """Merge decisions into the store; the sequence number of each."""
        if not records:
            return {}
        numbers = await self._store.merge_decisions(
            [(Payment.recorded(record), pack(record), record["applied"]) for record in records]
        )
        return dict(zip((record["transaction_id"] for record in records), numbers, strict=True))

    def _decisions(self, since: datetime, until: int) -> Read[Record]:
        async def read(last: Record | None) -> list[Record]:
            after = (since, -1)
            if last:
                after = (datetime.fromisoformat(last["occurred_at"]), last["transaction_id"])
            return await self._log.recorded(after, until, CHUNK)

        return read

    def _decisions_above(self, number: int) -> Read[Record]:
        async def read(last: Record | None) -> list[Record]:
            return await self._log.applied_after(last["applied"] if last else number, CHUNK)

        return read

    def _reports_since(self, since: datetime) -> Read[Report]:
        async def read(last: Report | None) -> list[Report]:
            after = (last.location[1], last.transaction_id) if last else (epoch_seconds(since), -1)
            return await self._log.reports_since(after, CHUNK)

        return read

    def _reports_above(self, number: int) -> Read[Report]:
        async def read(last: Report | None) -> list[Report]:
            after = (last.applied, last.transaction_id) if last else (number, MAX_ID)
            return await self._log.reports_after(after, CHUNK)

        return read


def needed_since(written_to: date | None) -> datetime:
    """The earliest payment that a state written from the lake up to a day is for: its own instant, not a clock's."""
    return from_epoch_seconds(max(0, first_second(written_to) - KEEP)) if written_to else EPOCH


async def each_chunk(read: Read[Item], work: Callable[[list[Item]], Awaitable[object]]) -> int:
    """Work through all chunks; how many items they had. The next chunk is read while one is worked on."""
    done, chunk = 0, await read(None)
    while chunk:
        following = asyncio.create_task(read(chunk[-1]))
        try:
            await work(chunk)
            done, chunk = done + len(chunk), await following
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
    return done


def chunks(items: list[Item]) -> Iterator[list[Item]]:
    """Parts of a list that one call takes."""
    return (items[start : start + CHUNK] for start in range(0, len(items), CHUNK))
