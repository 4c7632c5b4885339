"""Work done together: what is asked while the last round is under way shares the next one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Got = TypeVar("Got")


class Together(Generic[Asked, Got]):
    """Answers single askers by rounds of all that wait: a lone asker does not wait, and many share what a round costs.

    `work` takes what was asked, in the order in which it came, and gives an answer or an exception for each; what it
    raises is raised to all of its round. There are `at_once` rounds under way at most, of `most` askers at most.
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
        """The answer to one asker. Raises what `work` gave or raised."""
        future: asyncio.Future[Got] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future))
        if self._idle:
            self._idle -= 1
            # In a context of its own: it goes on for others when the first asker has its answer.
            task = asyncio.create_task(self._work_off(), context=Context())
            self._rounds.add(task)
            task.add_done_callback(self._rounds.discard)
        return await future

    async def _work_off(self) -> None:
        """Rounds, one after another, until nobody waits."""
        try:
            while self._waiting:
                taken = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
                await self._round(taken)
        finally:
            self._idle += 1

    async def _round(self, taken: Sequence[tuple[Asked, asyncio.Future[Got]]]) -> None:
        answers: Sequence[Got | Exception]
        try:
            answers = await self._work([asked for asked, _ in taken])
        except Exception as error:
            answers = [error] * len(taken)
        for (_, future), answer in zip(taken, answers, strict=True):
            # An asker that went away has cancelled its future.
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
