"""Micro-batches: which requests share a round, and how errors are delivered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

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
