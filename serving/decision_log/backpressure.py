"""Backpressure: batches wait, and are then rejected, before the outbox or Valkey's memory is full.

The relay measures both and `Backpressure` keeps the numbers, so that admitting a payment asks no store. A batch counts
from admission until the first measurement after it ends, because earlier measurements do not include its decisions.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from serving.errors import OverloadedError
from serving.fair_queuing import CALLER, FairShare, FairTurns
from serving.observability.counted_event import CountedEvent
from serving.observability.metrics import Metrics

BATCH_RATIO: Final = 0.85
"""The share of Valkey's memory above which batches are rejected; the rest is for single payments."""
SCARCE_RATIO: Final = 0.7
"""The share above which the memory is measured as often as the outbox."""
SINGLE_RATIO: Final = 0.95
"""The share above which single payments are rejected too, if the outbox is too long: PostgreSQL cannot take them."""
PAYMENT_BYTES: Final = 3_000
"""About what a payment takes in Valkey: its response, its entry in the outbox, and its entries in two histories."""
WAIT_SECONDS: Final = 2.0
MAX_WAITING: Final = 32
"""Batches that may wait at a time, of one API key as many as it leaves free: each is in memory."""
POLL_SECONDS: Final = 0.02


@dataclass(frozen=True)
class Memory:
    """Valkey's memory in bytes; a limit of 0 is none."""

    used: int = 0
    limit: int = 0

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> Memory:
        """From the answer to INFO memory."""
        return cls(int(info["used_memory"]), int(info["maxmemory"]))

    @property
    def ratio(self) -> float:
        """The share of the limit that is used, 0 without one."""
        return self.used / self.limit if self.limit else 0.0

    @property
    def scarce(self) -> bool:
        """Whether it could be full soon."""
        return self.ratio > SCARCE_RATIO

    def ratio_with(self, payments: int) -> float:
        """The share that is used with so many more payments."""
        return Memory(self.used + PAYMENT_BYTES * payments, self.limit).ratio


class Backpressure:
    """How full the outbox and Valkey are, and whether payments may be scored."""

    def __init__(self, max_waiting: int, metrics: Metrics) -> None:
        """`max_waiting` limits the decisions in the outbox."""
        self.waiting = 0
        self.memory = Memory()
        self.full = False
        """Whether single payments are rejected."""
        self._max_waiting = max_waiting
        self._metrics = metrics
        self._under_way = 0
        self._unmeasured = 0
        self._queue = FairTurns(1)
        self._queued = FairShare(MAX_WAITING)
        self._rejected = CountedEvent("batches rejected")

    def measured(self, waiting: int, memory: Memory) -> None:
        """Take what the relay measured: the length of the outbox, and Valkey's memory."""
        self.waiting, self.memory, self._unmeasured = waiting, memory, 0
        self.full = memory.ratio > SINGLE_RATIO and waiting >= self._max_waiting
        self._metrics.waiting.set(waiting)
        self._metrics.store_memory.set(memory.ratio)

    @property
    def state(self) -> str:
        """The measured numbers, for people."""
        limit = f"of {self.memory.limit // 2**20} MiB" if self.memory.limit else "and no maxmemory"
        share = f"{self.memory.ratio:.0%}" if self.memory.limit else f"{self.memory.used // 2**20} MiB"
        return f"Valkey's memory: {share} {limit}; decisions in the outbox: {self.waiting} of {self._max_waiting}"

    @property
    def problem(self) -> str:
        """Why batches are rejected, and the remedy; empty if they are not."""
        return self._problem(0)

    @asynccontextmanager
    async def batch(self, size: int) -> AsyncIterator[None]:
        """Admit a batch of so many payments, after a while if need be. Raises `OverloadedError`."""
        if self._queued.used or self._rejection():
            await self._wait()
        self._under_way += size
        try:
            yield
        finally:
            self._under_way -= size
            self._unmeasured += size

    async def _wait(self) -> None:
        """Wait until there is room, in order of arrival and in turn with the batches of other keys."""
        caller = CALLER.get()
        if not self._queued.take(caller, 1):
            raise self._overloaded(self._rejection() or f"{self._queued.used} batches wait already")
        try:
            async with asyncio.timeout(WAIT_SECONDS), self._queue:
                while self._rejection():
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise self._overloaded(self._rejection() or "other batches come first") from None
        finally:
            self._queued.give_back(caller, 1)

    def require_memory(self) -> None:
        """Raise `OverloadedError` while reports could fill Valkey."""
        if self.memory.ratio > BATCH_RATIO:
            raise OverloadedError(f"fraud reports are rejected for now: {self._problem(0)}; retry")

    def _rejection(self) -> str:
        return self._problem(self._under_way + self._unmeasured)

    def _problem(self, more: int) -> str:
        """Why no batch is admitted on top of what was measured and so many `more` payments."""
        ratio, waiting = self.memory.ratio_with(more), self.waiting + more
        if ratio > BATCH_RATIO:
            return (
                f"{ratio:.0%} of Valkey's memory is used, above {BATCH_RATIO:.0%}: raise maxmemory, or "
                "wait until decisions are recorded and old responses expire"
            )
        if waiting >= self._max_waiting:
            return (
                f"{waiting} decisions are not in PostgreSQL yet, and SCORER_MAX_DECISIONS_WAITING is "
                f"{self._max_waiting}: check that PostgreSQL is fast enough"
            )
        return ""

    def _overloaded(self, problem: str) -> OverloadedError:
        self._rejected.add(reason=problem)
        return OverloadedError(f"batches are rejected for now: {problem}; retry, or send single payments")
