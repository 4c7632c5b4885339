"""Turns and shares: which caller is next, and that none is lost."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import OverloadedError
from serving.fair_queuing import CALLER, FairShare, FairTurns

KEYS = ("a", "b", "c")


class Line:
    """Requests that wait for turns; `served` has their callers in order."""

    def __init__(self, at_once: int) -> None:
        self.turns = FairTurns(at_once)
        self.served: list[str] = []
        self.running = self.most = 0

    async def request(self, caller: str) -> None:
        CALLER.set(caller)
        async with self.turns:
            self.served.append(caller)
            self.running += 1
            self.most = max(self.most, self.running)
            try:
                await asyncio.sleep(0)
            finally:
                self.running -= 1


def test_another_caller_is_next_however_many_of_one_wait() -> None:
    async def run() -> list[str]:
        line = Line(1)
        await asyncio.gather(*map(line.request, ["many"] * 50 + ["one", "other"]))
        return line.served

    assert asyncio.run(run())[:4] == ["many", "many", "one", "other"]


def test_requests_that_gave_up_do_not_cost_their_caller_its_turn() -> None:
    async def run() -> list[str]:
        line = Line(1)
        tasks = [asyncio.create_task(line.request(caller)) for caller in ["a", "b", "b", "b", "a", "a"]]
        await asyncio.sleep(0)
        for task in tasks[1:3]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return line.served

    assert asyncio.run(run()) == ["a", "b", "a", "a"]


@given(st.lists(st.sampled_from(KEYS), max_size=30), st.integers(1, 3))
def test_callers_take_turns(callers: list[str], at_once: int) -> None:
    async def run() -> Line:
        line = Line(at_once)
        await asyncio.gather(*map(line.request, callers))
        return line

    line = asyncio.run(run())
    assert Counter(line.served) == Counter(callers)
    assert line.most <= at_once
    left = Counter(callers[at_once:])
    for now, then in zip(line.served[at_once:], line.served[at_once + 1 :], strict=False):
        left[now] -= 1
        assert now != then or not any(count for caller, count in left.items() if caller != now)


@given(st.lists(st.sampled_from(KEYS), min_size=1, max_size=12), st.sets(st.integers(0, 11)), st.integers(0, 8))
def test_a_caller_that_gives_up_loses_nobody_s_turn(callers: list[str], cancelled: set[int], steps: int) -> None:
    async def run() -> list[object]:
        line = Line(2)
        tasks = [asyncio.create_task(line.request(caller)) for caller in callers]
        for _ in range(steps):
            await asyncio.sleep(0)
        for number in cancelled & set(range(len(tasks))):
            tasks[number].cancel()
        ended = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
        # Both turns are free again.
        async with asyncio.timeout(5), line.turns, line.turns:
            return [end for number, end in enumerate(ended) if number not in cancelled]

    assert asyncio.run(run()) == [None] * (len(callers) - len(cancelled & set(range(len(callers)))))


def test_a_caller_may_lose_patience() -> None:
    async def run() -> None:
        turns = FairTurns(1, patience=0.01)
        async with turns:
            with pytest.raises(OverloadedError, match="other requests come first"):
                await turns.__aenter__()
        async with turns:
            pass

    asyncio.run(run())


@given(st.lists(st.tuples(st.sampled_from(KEYS), st.integers(1, 40))))
def test_a_newcomer_finds_room_and_the_total_is_not_exceeded(wanted: list[tuple[str, int]]) -> None:
    share, taken = FairShare(100), Counter[str]()
    for caller, amount in wanted:
        if share.take(caller, amount):
            taken[caller] += amount
        assert share.used == taken.total() <= 100
    assert taken.total() < 100, "something is left"
    assert share.take("new", (100 - share.used) // 2)
    for caller, amount in taken.items():
        share.give_back(caller, amount)
    assert share.used == (100 - taken.total()) // 2


def test_one_caller_alone_takes_half() -> None:
    share = FairShare(100)
    assert [share.take("a", 10) for _ in range(7)] == [True] * 5 + [False] * 2
    assert [share.take("b", 10) for _ in range(4)] == [True] * 2 + [False] * 2
    share.give_back("a", 50)
    assert share.used == 20
    assert share.take("b", 10)
