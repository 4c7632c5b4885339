"""Micro-batching: requests that arrive during a round share the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from itertools import islice
from typing import Generic, TypeVar

from serving.fair_queuing import CALLER, FairQueue

Asked = TypeVar("Asked")
Got = TypeVar("Got")


class MicroBatcher(Generic[Asked, Got]):
    """Answers single requests in rounds: a lone request starts at once, and many share the cost of a round.

    `work` takes the requests of a round, the most urgent first, and returns an answer or an exception for the first of
    them, at least one; the others come first in the next round. What it raises is raised to every request of the round.
    At most `at_once` rounds run at a time, each of at most `most` requests, in which the callers take turns: however
    many requests of one wait, another's is in the next round.
    """

    def __init__(
        self, work: Callable[[Sequence[Asked]], Awaitable[Sequence[Got | Exception]]], most: int, at_once: int
    ) -> None:
        self._work = work
        self._most = most
        self._idle = at_once
        # A disconnected caller has cancelled its future.
        self._waiting: FairQueue[tuple[Asked, asyncio.Future[Got]]] = FairQueue(lambda waiting: waiting[1].done())
        self._rounds: set[asyncio.Task[None]] = set()

    async def ask(self, asked: Asked) -> Got:
        """The answer to one request. Raises what `work` returned or raised for it."""
        future: asyncio.Future[Got] = asyncio.get_running_loop().create_future()
        self._waiting.add((asked, future), CALLER.get())
        if self._idle:
            self._idle -= 1
            # In its own context: it outlives the request that started it.
            task = asyncio.create_task(self._process_rounds(), context=Context())
            self._rounds.add(task)
            task.add_done_callback(self._rounds.discard)
        return await future

    async def _process_rounds(self) -> None:
        """Run rounds until no request waits."""
        try:
            while taken := list(islice(iter(self._waiting.take, None), self._most)):
                answered = await self._round([waiting for waiting, _ in taken])
                self._waiting.put_back(taken[answered:])
        finally:
            self._idle += 1

    async def _round(self, taken: Sequence[tuple[Asked, asyncio.Future[Got]]]) -> int:
        """Answer the first requests; returns how many."""
        answers: Sequence[Got | Exception]
        try:
            answers = await self._work([asked for asked, _ in taken])
            assert answers, "a round without an answer would come again for ever"
        except Exception as error:
            answers = [error] * len(taken)
        for (_, future), answer in zip(taken, answers, strict=False):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
        return len(answers)
