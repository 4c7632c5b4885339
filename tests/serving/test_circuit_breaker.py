"""The circuit breaker's states, and when degraded scoring is allowed."""

from __future__ import annotations

import asyncio

import pytest

from serving.errors import OnlineStoreUnavailableError
from serving.observability.metrics import Metrics
from serving.recovery import circuit_breaker
from serving.recovery.circuit_breaker import CircuitBreaker, State

FAILURE = OnlineStoreUnavailableError("it failed")


def closed() -> CircuitBreaker:
    breaker = CircuitBreaker(Metrics())
    breaker.start_recovery()
    breaker.close(recovered=True)
    return breaker


def test_it_starts_open_and_closes_after_recovery() -> None:
    breaker = CircuitBreaker(Metrics())
    assert (breaker.state, breaker.closed, bool(breaker.problem)) == (State.OPEN, False, True)
    breaker.start_recovery()
    assert breaker.state is State.RECOVERING
    breaker.close(recovered=True)
    assert (breaker.state, breaker.closed, breaker.problem) == (State.CLOSED, True, "")


def test_a_failure_opens_it_and_is_remembered_until_recovery() -> None:
    breaker = closed()
    breaker.trip(FAILURE)
    assert (breaker.state, breaker.trips, breaker.problem) == (State.OPEN, 1, "it failed")
    breaker.trip(OnlineStoreUnavailableError("again"))
    assert (breaker.trips, breaker.problem) == (2, "again")
    breaker.start_recovery()
    breaker.close(recovered=True)
    assert (breaker.trips, breaker.problem) == (2, "")


def test_a_failed_backfill_ends_the_recovery_and_a_failed_attempt_does_not() -> None:
    breaker = closed()
    breaker.trip(FAILURE)
    breaker.start_recovery()
    breaker.stay_open(OnlineStoreUnavailableError("another scorer is at it"))
    assert (breaker.state, breaker.problem) == (State.RECOVERING, "another scorer is at it")
    breaker.stop_recovery()
    assert breaker.state is State.OPEN
    assert breaker.trips == 1


def test_if_it_closes_without_recovery_recovery_stays_due() -> None:
    async def run() -> None:
        breaker = CircuitBreaker(Metrics())
        breaker.close(recovered=False)
        assert breaker.closed
        assert await breaker.needs_recovery(0.01)
        breaker.start_recovery()
        assert breaker.closed
        breaker.stay_open(FAILURE)
        assert breaker.state is State.OPEN
        breaker.close(recovered=True)
        assert not await breaker.needs_recovery(0.01)

    asyncio.run(run())


def test_it_closes_only_when_no_degraded_work_is_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circuit_breaker, "DRAIN_SECONDS", 0.05)

    async def run() -> None:
        breaker = CircuitBreaker(Metrics())
        async with breaker.degraded() as still_open:
            assert still_open
            with pytest.raises(OnlineStoreUnavailableError, match="did not finish within"):
                async with breaker.without_degraded_work():
                    raise AssertionError("degraded work is in flight")
        assert breaker.missed

        async def score() -> bool:
            async with breaker.degraded() as still_open:
                return still_open

        async with breaker.without_degraded_work():
            waiting = asyncio.create_task(score())
            await asyncio.sleep(0.01)
            assert not waiting.done()
            breaker.close(recovered=True)
        # It waited until the breaker closed, so it uses the store.
        assert not await waiting
        assert not breaker.missed

    asyncio.run(run())
