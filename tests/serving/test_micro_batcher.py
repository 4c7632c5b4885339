"""Micro-batches: which requests share a round, and how errors are delivered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from serving.fair_queuing import CALLER
from serving.scoring.micro_batcher import MicroBatcher


class Rounds:
    """Doubles numbers once released, and records each round. Rejects odd numbers below 0."""

    def __init__(self) -> None:
        self.begun: list[list[int]] = []
        self.go = asyncio.Event()

    async def work(self, asked: Sequence[int]) -> list[int | Exception]:
        self.begun.append(list(asked))
        await self.go.wait()
        if 13 in asked:
            raise RuntimeError("nothing works")
        return [ValueError(str(one)) if one < 0 else 2 * one for one in asked]


class OneAtATime(Rounds):
    """Answers only the first number of a round."""

    async def work(self, asked: Sequence[int]) -> list[int | Exception]:
        return (await super().work(asked))[:1]


async def ask_all(together: MicroBatcher[int, int], asked: Sequence[int]) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(together.ask(one)) for one in asked]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


def test_requests_during_a_round_share_the_next() -> None:
    async def run() -> None:
        rounds = Rounds()
        together = MicroBatcher(rounds.work, most=3, at_once=1)
        first = await ask_all(together, [1])
        rest = await ask_all(together, [2, 3, 4, 5])
        assert rounds.begun == [[1]]
        rounds.go.set()
        assert await asyncio.gather(*first, *rest) == [2, 4, 6, 8, 10]
        assert rounds.begun == [[1], [2, 3, 4], [5]]
        assert await together.ask(6) == 12

    asyncio.run(run())


def test_the_number_of_concurrent_rounds_is_limited() -> None:
    async def run() -> None:
        rounds = Rounds()
        together = MicroBatcher(rounds.work, most=10, at_once=2)
        tasks = [task for one in range(4) for task in await ask_all(together, [one])]
        assert rounds.begun == [[0], [1]]
        rounds.go.set()
        assert await asyncio.gather(*tasks) == [0, 2, 4, 6]
        assert rounds.begun == [[0], [1], [2, 3]]

    asyncio.run(run())


def test_an_item_s_error_reaches_its_caller_and_a_failed_round_all_callers() -> None:
    async def run() -> None:
        rounds = Rounds()
        rounds.go.set()
        together = MicroBatcher(rounds.work, most=10, at_once=1)
        good, bad = await asyncio.gather(together.ask(1), together.ask(-1), return_exceptions=True)
        assert good == 2
        assert isinstance(bad, ValueError)
        failed = await asyncio.gather(together.ask(13), together.ask(1), return_exceptions=True)
        assert [str(error) for error in failed] == ["nothing works"] * 2
        assert await together.ask(4) == 8

    asyncio.run(run())


def test_a_cancelled_caller_does_not_block_the_others() -> None:
    async def run() -> None:
        rounds = Rounds()
        together = MicroBatcher(rounds.work, most=10, at_once=1)
        (gone,) = await ask_all(together, [1])
        (stays,) = await ask_all(together, [2])
        gone.cancel()
        rounds.go.set()
        assert await stays == 4
        with pytest.raises(asyncio.CancelledError):
            await gone

    asyncio.run(run())


async def ask_as(caller: str, together: MicroBatcher[int, int], asked: Sequence[int]) -> list[asyncio.Task[int]]:
    CALLER.set(caller)
    return await ask_all(together, asked)


def test_another_caller_is_in_the_next_round_however_many_of_one_wait() -> None:
    async def run() -> None:
        rounds = Rounds()
        together = MicroBatcher(rounds.work, most=2, at_once=1)
        tasks = await ask_as("many", together, [0])
        tasks += await ask_as("many", together, range(1, 6)) + await ask_as("one", together, [10])
        rounds.go.set()
        assert await asyncio.gather(*tasks) == [0, 2, 4, 6, 8, 10, 20]
        assert rounds.begun == [[0], [1, 10], [2, 3], [4, 5]]

    asyncio.run(run())


def test_what_a_round_leaves_comes_first_in_the_next_in_its_order() -> None:
    async def run() -> None:
        rounds = OneAtATime()
        together = MicroBatcher(rounds.work, most=3, at_once=1)
        tasks = await ask_as("a", together, [0])
        tasks += await ask_as("a", together, range(1, 4)) + await ask_as("b", together, [10, 11])
        rounds.go.set()
        assert await asyncio.gather(*tasks) == [0, 2, 4, 6, 20, 22]
        assert rounds.begun == [[0], [1, 10, 2], [10, 2, 11], [2, 11, 3], [11, 3], [3]]

    asyncio.run(run())


def test_a_round_without_an_answer_fails() -> None:
    async def none(_: Sequence[int]) -> list[int | Exception]:
        return []

    async def run() -> None:
        with pytest.raises(AssertionError, match="for ever"):
            await asyncio.wait_for(MicroBatcher(none, most=3, at_once=1).ask(1), 5)

    asyncio.run(run())
