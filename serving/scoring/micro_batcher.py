"""Micro-batching: requests that arrive during a round share the next one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Got = TypeVar("Got")


class MicroBatcher(Generic[Asked, Got]):
    """Answers single requests in rounds: a lone request starts at once, and many share the cost of a round.

    `work` takes requests in the order of arrival and returns an answer or an exception for each; what it raises is
    raised to every request of the round. At most `at_once` rounds run at a time, each of at most `most` requests.
    """

    def __init__(
        self, work: Callable[[Sequence[Asked]], Awaitable[Sequence[Got | Exception]]], most: int, at_once: int
    ) -> None:
        self._work = work
        self._most = most
        self._idle = at_once
        self._waiting: deque[tuple[Asked, asyncio.Future[Got]]] = deque()
        self._rounds: set[asyncio.Task[None]] = set()

    async def ask(self, asked: Asked) -> Got:
        """The answer to one request. Raises what `work` returned or raised for it."""
        future: asyncio.Future[Got] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future))
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
            while self._waiting:
                taken = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
                # A request that was given up needs no answer.
                if wanted := [one for one in taken if not one[1].done()]:
                    await self._round(wanted)
        finally:
            self._idle += 1

    async def _round(self, taken: Sequence[tuple[Asked, asyncio.Future[Got]]]) -> None:
        answers: Sequence[Got | Exception]
        try:
            answers = await self._work([asked for asked, _ in taken])
        except Exception as error:
            answers = [error] * len(taken)
        for (_, future), answer in zip(taken, answers, strict=True):
            # A disconnected caller has cancelled its future.
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
