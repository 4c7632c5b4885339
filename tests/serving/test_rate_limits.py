"""Rate limits: one count for all workers, and the fallback while Valkey is down."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import valkey
from limits import RateLimitItem, parse

from demo.embedded_servers import Server, start_valkey
from serving.fair_queuing import CALLER
from serving.middleware import rate_limits
from serving.middleware.rate_limits import AT_ONCE, PREFIX, RateCounter
from serving.online_store.store import connect
from tests.serving.conftest import Start
from tests.serving.running import KEYS, wait_for
from tests.serving.test_recovery import restart
from tests.serving.test_workers import workers

RATE = parse("3/hour")


@pytest.fixture
def own_valkey(tmp_path_factory: pytest.TempPathFactory, valkey_server: Any) -> Iterator[Server]:
    """A Valkey that a test may stop and restart."""
    folder = tmp_path_factory.mktemp("valkey")
    server = start_valkey(folder / "data", valkey_server.password, folder / "log")
    yield server
    server.stop()


def counter_of(server: Server) -> RateCounter:
    return RateCounter(connect(f"valkey://127.0.0.1:{server.port}/0", server.password, 0.5))


async def waits(counter: RateCounter, requests: int) -> list[bool]:
    """Whether each request has to wait."""
    return [await counter.seconds_to_wait(RATE, "a-key") > 0 for _ in range(requests)]


def test_a_rate_holds_for_all_workers_together(start: Start, state: valkey.Valkey) -> None:
    scorer = start(ready=False, SCORER_WORKERS="2")
    wait_for(lambda: len(workers(scorer)) == 2)

    def ask(_: int) -> int:
        # Over a new connection, so that any worker may accept it. Requests to unknown paths count too.
        headers = {"X-API-Key": KEYS["shared"]}
        return httpx.get(f"http://127.0.0.1:{scorer.port}/v1/nothing", headers=headers, timeout=30).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = Counter(pool.map(ask, range(60)))
    assert statuses == {404: 20, 429: 40}
    assert all(0 < state.pttl(key) <= 2 * 3_600_000 for key in state.scan_iter(f"{PREFIX}:*"))
    assert scorer.stop() == 0


def test_two_counters_share_a_count_and_report_when_its_window_ends(own_valkey: Server) -> None:
    async def scenario() -> None:
        one, other = counter_of(own_valkey), counter_of(own_valkey)
        assert await waits(one, 2) + await waits(other, 2) == [False, False, False, True]
        assert 3_500 < await one.seconds_to_wait(RATE, "a-key") <= 3_600
        assert await one.seconds_to_wait(RATE, "another-key") == 0
        await one.aclose()
        await other.aclose()

    asyncio.run(scenario())


def test_while_valkey_is_down_each_worker_counts_and_logs_it_once(
    own_valkey: Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.name == "serving"]

    async def scenario() -> None:
        counter, other = counter_of(own_valkey), counter_of(own_valkey)
        own_valkey.stop()
        assert await waits(counter, 5) == [False, False, False, True, True]
        assert await waits(other, 1) == [False]
        assert said() == ["rates counted by each worker"] * 2
        restart(own_valkey)
        assert await waits(counter, 1) == [True], "Valkey was retried too early"
        monkeypatch.setattr(rate_limits, "SHARED_RATES_SECONDS", 0.0)
        counter._retry_at = 0.0
        assert await waits(counter, 4) == [False, False, False, True]
        assert said()[2:] == ["rates counted in Valkey again"]
        await counter.aclose()
        await other.aclose()

    with caplog.at_level(logging.INFO, "serving"):
        asyncio.run(scenario())


def test_an_unresponsive_valkey_delays_at_most_one_request(own_valkey: Server) -> None:
    async def scenario() -> None:
        counter = counter_of(own_valkey)
        assert await counter.seconds_to_wait(RATE, "a-key") == 0
        os.kill(own_valkey.process.pid, signal.SIGSTOP)
        try:
            begin = time.monotonic()
            await waits(counter, 50)
            assert time.monotonic() - begin < 3
        finally:
            os.kill(own_valkey.process.pid, signal.SIGCONT)
        await counter.aclose()

    asyncio.run(scenario())


def test_a_batch_counts_as_many_payments_or_not_at_all(own_valkey: Server) -> None:
    async def scenario() -> None:
        counter = counter_of(own_valkey)
        for _ in range(2):
            assert await counter.seconds_to_wait(RATE, "a-key", 2) == 0
            assert await counter.seconds_to_wait(RATE, "a-key", 2) == 3_600
            assert await counter.seconds_to_wait(RATE, "a-key") == 0
            # The same while each worker counts.
            own_valkey.stop()
        await counter.aclose()

    asyncio.run(scenario())


@pytest.mark.parametrize("suffix", ["", "/-1"], ids=["the current window", "the previous window"])
def test_a_clock_of_valkey_that_went_back_does_not_prolong_a_window(own_valkey: Server, suffix: str) -> None:
    rate = parse("3/minute")

    async def scenario() -> None:
        counter = counter_of(own_valkey)
        await waits_of(counter, rate, 3)
        with valkey.Valkey(port=own_valkey.port, password=own_valkey.password) as client:
            # As if the clock went back by an hour: Valkey keeps the time at which a key expires.
            (key,) = client.keys(f"{PREFIX}:*")
            client.set(key.decode() + suffix, 3_000, px=3_600_000)
        assert await waits_of(counter, rate, 5) == [False, False, False, True, True]
        assert 0 < await counter.seconds_to_wait(rate, "a-key") <= 60
        await counter.aclose()

    asyncio.run(scenario())


async def waits_of(counter: RateCounter, rate: RateLimitItem, requests: int) -> list[bool]:
    return [await counter.seconds_to_wait(rate, "a-key") > 0 for _ in range(requests)]


def test_a_clock_of_this_machine_that_went_back_does_not_prolong_a_window(
    own_valkey: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate, real, offset = parse("3/minute"), time.time, 3_600.0
    own_valkey.stop()
    monkeypatch.setattr(time, "time", lambda: real() + offset)

    async def scenario() -> None:
        nonlocal offset
        counter = counter_of(own_valkey)
        assert await waits_of(counter, rate, 4) == [False, False, False, True]
        offset = 0.0
        assert await waits_of(counter, rate, 4) == [False, False, False, True]
        assert await counter.seconds_to_wait(rate, "a-key") <= 60
        await counter.aclose()

    asyncio.run(scenario())


def test_many_requests_of_one_key_leave_the_count_in_valkey_and_another_key_s_turn(
    own_valkey: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """More requests than the pool has connections, which wait longer than the pool does."""

    async def scenario() -> None:
        counter, seen = counter_of(own_valkey), list[str]()

        async def count(key: str) -> None:
            CALLER.set(key)
            await counter.seconds_to_wait(RATE, key)
            seen.append(key)

        os.kill(own_valkey.process.pid, signal.SIGSTOP)
        tasks = [asyncio.create_task(count("many")) for _ in range(2_000)]
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(count("one")))
        os.kill(own_valkey.process.pid, signal.SIGCONT)
        await asyncio.gather(*tasks)
        assert "one" in seen[: 3 * AT_ONCE]
        await counter.aclose()

    with caplog.at_level(logging.INFO, "serving"):
        asyncio.run(scenario())
    assert not [record for record in caplog.records if record.name == "serving"]
