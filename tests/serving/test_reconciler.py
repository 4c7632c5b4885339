"""Attempts at recovery that fail in between, as in a second failover: numbers are raised for every store once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import wraps
from typing import Any

import orjson
import pytest
from psycopg import OperationalError
from psycopg.errors import UntranslatableCharacter

from serving.errors import OnlineStoreUnavailableError
from serving.observability.metrics import Metrics
from serving.recovery.circuit_breaker import CircuitBreaker
from serving.recovery.confirmer import UnconfirmedReports
from serving.recovery.recent_responses import RecentResponses
from serving.recovery.reconciler import Reconciler
from serving.scoring.report import Report

SKIP = 1_000


class Store:
    """A store whose server, counter and failures a test sets; it lacks every answer."""

    def __init__(self) -> None:
        self.run, self.counter, self.problem = "first", 10, ""
        self.raised: list[int] = []
        self.before_recovery: list[Callable[[], None]] = []
        self.finished: list[bool] = []
        self.reports: list[Report] = []

    async def pin_run(self) -> str:
        return self.run

    current_run = pin_run

    async def recovered_run(self) -> str:
        return ""

    async def incompatible(self) -> str:
        return self.problem

    async def sequence(self) -> int:
        return self.counter

    async def advance_sequence(self, recorded: int, *, forgotten: bool) -> None:
        self.raised.append(self.counter)
        self.counter = max(self.counter, recorded) + SKIP * forgotten

    async def applied_before_recovery(self) -> None:
        return None

    async def reconciliation_id(self) -> bytes:
        return b"1"

    async def start_recovery(self) -> bytes:
        if self.before_recovery:
            self.before_recovery.pop(0)()
        return b"token"

    async def finish_recovery(self, _: bytes, *, lost: bool) -> None:
        self.finished.append(lost)

    async def may_have_expired(self, highest: int) -> None:
        del highest

    async def written_to(self) -> None:
        return None

    async def unanswered(self, ids: Sequence[int]) -> list[int]:
        return list(ids)

    async def merge_reports(self, reports: Sequence[Report]) -> None:
        self.reports += reports


class Log:
    """A log that records what is appended, and rejects what is damaged."""

    def __init__(self) -> None:
        self.away = False
        self.answers: list[bytes] = []
        self.reports: list[Any] = []

    def recovery_lock(self) -> AbstractAsyncContextManager[bool]:
        return nullcontext(True)

    async def highest(self) -> int:
        if self.away:
            raise OperationalError("away")
        return 7

    async def highest_id(self) -> int:
        return 7

    async def append(self, kept: Sequence[bytes]) -> int:
        if self.away:
            raise OperationalError("away")
        if b"damaged" in kept:
            raise UntranslatableCharacter("no such text")
        self.answers += kept
        return len(kept)

    async def append_reports(self, rows: Sequence[Any]) -> None:
        self.reports += rows

    async def find(self, _: Sequence[int]) -> dict[int, Any]:
        return {}

    async def nothing(self, *_: object) -> list[Any]:
        return []

    pending_backfill = recorded = applied_after = reports_after = reports_since = nothing


class Case:
    """A reconciler that is recovered once, on such stores."""

    def __init__(self) -> None:
        self.store, self.log, self.recent, self.reports = Store(), Log(), RecentResponses(), UnconfirmedReports(10_000)
        self.breaker = CircuitBreaker(Metrics())
        parts: Any = (self.breaker, self.store, self.log, self.recent, self.reports, Metrics())
        self.reconciler = Reconciler(*parts)

    async def recovered(self) -> Case:
        assert await self.reconciler.try_recover()
        self.store.raised.clear()
        self.store.finished.clear()
        return self

    def fail(self) -> None:
        self.breaker.trip(OnlineStoreUnavailableError("it failed"))


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in an event loop."""

    @wraps(test)
    def run(**parameters: Any) -> None:
        asyncio.run(test(**parameters))

    return run


@in_loop
async def test_numbers_are_raised_again_after_a_second_failover_during_recovery() -> None:
    case = await Case().recovered()
    case.store.run, case.store.counter = "second", 8
    case.fail()

    def fail_over() -> None:
        case.store.run, case.store.counter = "third", 5
        raise OnlineStoreUnavailableError("Valkey was restarted")

    case.store.before_recovery.append(fail_over)
    assert [await case.reconciler.try_recover() for _ in range(2)] == [False, True]
    assert case.store.raised == [8, 5]


@in_loop
async def test_numbers_are_raised_once_while_attempts_fail() -> None:
    case = await Case().recovered()
    case.fail()

    def fail() -> None:
        raise OnlineStoreUnavailableError("not yet")

    case.store.before_recovery += [fail] * 3
    assert [await case.reconciler.try_recover() for _ in range(4)] == [False, False, False, True]
    assert case.store.raised == [10]


@pytest.mark.parametrize("counter", [0, 9])
@in_loop
async def test_a_counter_that_goes_back_during_recovery_means_a_complete_replay(counter: int) -> None:
    case = await Case().recovered()
    case.fail()

    def go_back() -> None:
        case.store.counter = counter
        raise OnlineStoreUnavailableError("not yet")

    case.store.before_recovery.append(go_back)
    assert [await case.reconciler.try_recover() for _ in range(2)] == [False, True]
    assert (case.store.raised, case.store.finished) == ([10, counter], [True])


@in_loop
async def test_what_is_unconfirmed_is_saved_whatever_its_age_and_damaged_answers_do_not_stop_it() -> None:
    case = await Case().recovered()
    kept = [str(number).encode() for number in range(600)]
    for number, answer in enumerate([*kept, b"damaged"]):
        case.recent.add(number, answer)
    report = Report(1, 9, (2, 3, 100), applied=4)
    case.reports.add(report.key, orjson.dumps(report.as_row()))
    case.fail()
    case.log.away = True
    assert not await case.reconciler.try_recover()
    assert len(case.recent.unconfirmed) == 601
    case.log.away = False
    assert await case.reconciler.try_recover()
    assert set(case.log.answers) == set(kept)
    assert (len(case.recent.unconfirmed), len(case.reports)) == (0, 0)
    assert case.store.reports == [report]


@in_loop
async def test_reports_are_merged_also_if_an_attempt_fails_after_they_were_recorded() -> None:
    case = await Case().recovered()
    report = Report(1, 9, (2, 3, 100), applied=4)
    case.reports.add(report.key, orjson.dumps(report.as_row()))
    case.fail()
    merge = case.store.merge_reports

    async def fail(reports: Sequence[Report]) -> None:
        case.store.merge_reports = merge  # type: ignore[method-assign]
        raise OnlineStoreUnavailableError("not yet")

    case.store.merge_reports = fail  # type: ignore[method-assign]
    assert [await case.reconciler.try_recover() for _ in range(2)] == [False, True]
    assert case.store.reports == [report]
