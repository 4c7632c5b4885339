"""Expensive work is limited to a share of time, and a few calls are always worked on."""

from __future__ import annotations

from itertools import count

from serving.observability.time_budget import MAX_SECONDS, SHARE, TimeBudget


class Work:
    """Takes some seconds of a clock; its results are numbers."""

    def __init__(self, seconds: float) -> None:
        self.now, self.spent = 0.0, 0.0
        self._seconds = seconds
        self._numbers = count(1)

    def clock(self) -> float:
        return self.now

    def do(self) -> int:
        self.now += self._seconds
        self.spent += self._seconds
        return next(self._numbers)


def test_a_few_calls_get_results_of_their_own() -> None:
    work = Work(0.02)
    budget = TimeBudget(work.do, work.clock)
    assert [budget.result() for _ in range(10)] == list(range(1, 11))


def test_a_flood_of_calls_takes_a_share_of_the_time_and_sees_later_results() -> None:
    work = Work(0.02)
    budget = TimeBudget(work.do, work.clock)
    seen = set()
    while work.now < 100:
        seen.add(budget.result())
        work.now += 0.001
    assert work.spent < MAX_SECONDS + SHARE * 100 + 0.1
    assert len(seen) > 200


def test_work_that_takes_longer_than_the_budget_is_done_once() -> None:
    work = Work(3 * MAX_SECONDS)
    budget = TimeBudget(work.do, work.clock)
    assert [budget.result() for _ in range(3)] == [1, 1, 1]
