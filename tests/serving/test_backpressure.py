"""Batches wait, and are then rejected, before the outbox or Valkey's memory is full; single payments go on."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import valkey
from hypothesis import given
from hypothesis import strategies as st

from contracts.online_state import DECISIONS_KEY, META_KEY, RECONCILED, Stamp
from demo.embedded_servers import start_valkey
from serving.decision_log import backpressure
from serving.decision_log.backpressure import MAX_WAITING, Backpressure, Memory
from serving.errors import OverloadedError
from serving.fair_queuing import CALLER
from serving.observability.metrics import Metrics
from tests.serving.conftest import Start
from tests.serving.running import ScorerProcess, body, ok, wait_for

T = 1_535_800_000
NOWHERE = "postgresql://127.0.0.1:1/nowhere"
LIMIT = 10


@dataclass(frozen=True)
class OwnValkey:
    """A Valkey whose memory limit a test may change."""

    address: str
    client: Any

    def fill(self, ratio: float) -> None:
        """Set the limit so that about this share of it is used, whatever a scorer adds meanwhile."""
        self.client.config_set("maxmemory", int(self.client.info("memory")["used_memory"] / ratio))


@pytest.fixture
def own_valkey(tmp_path: Path, valkey_server: Any) -> Iterator[OwnValkey]:
    server = start_valkey(tmp_path / "data", valkey_server.password, tmp_path / "valkey.log")
    with valkey.Valkey(port=server.port, password=server.password) as client:
        client.hset(META_KEY, mapping=Stamp(written_to="2018-08-31").fields() | {RECONCILED: "1"})
        # Ballast, so that what a scorer uses for itself does not change the share.
        client.set("ballast", b"x" * 64_000_000)
        yield OwnValkey(f"valkey://127.0.0.1:{server.port}/0", client)
    server.stop()


def post(scorer: ScorerProcess, *numbers: int) -> httpx.Response:
    asked = {"transactions": [body(number, number, number, 100, T) for number in numbers]}
    return scorer.client.post("/v1/score/batch", json=asked)


def capacity(scorer: ScorerProcess) -> dict[str, Any]:
    found: dict[str, Any] = ok(scorer.client.get("/readyz"))["checks"]["capacity"]
    return found


def memory_ratio(scorer: ScorerProcess) -> float:
    found = re.search(r"^scorer_store_memory_ratio (\S+)$", scorer.client.get("/metrics").text, re.MULTILINE)
    assert found
    return float(found[1])


def test_while_the_memory_is_nearly_full_batches_are_rejected_and_single_payments_scored(
    start: Start, own_valkey: OwnValkey
) -> None:
    scorer = start(VALKEY_URL=own_valkey.address)
    assert (capacity(scorer)["ok"], memory_ratio(scorer)) == (True, 0)
    own_valkey.fill(0.9)
    wait_for(lambda: not capacity(scorer)["ok"])
    assert "90% of Valkey's memory is used" in capacity(scorer)["detail"]
    assert "raise maxmemory" in capacity(scorer)["detail"]
    assert ok(scorer.client.get("/readyz"))["degraded"]
    assert memory_ratio(scorer) == pytest.approx(0.9, abs=0.01)
    rejected = post(scorer, 1, 2)
    assert (rejected.status_code, rejected.headers["Retry-After"]) == (503, "1")
    assert "of Valkey's memory is used" in rejected.json()["detail"]
    assert not own_valkey.client.exists("p:1", "p:2"), "nothing was claimed"
    assert '"batches rejected"' in scorer.log.read_text()
    own_valkey.fill(0.97)
    wait_for(lambda: memory_ratio(scorer) > 0.96)
    assert not scorer.score(3, 3, 3, 100, T)["degraded"]
    own_valkey.client.config_set("maxmemory", 0)
    wait_for(lambda: capacity(scorer)["ok"])
    assert post(scorer, 1, 2).status_code == 200
    assert memory_ratio(scorer) == 0


def test_while_the_outbox_is_long_batches_are_rejected_and_single_payments_scored(
    start: Start, own_valkey: OwnValkey
) -> None:
    scorer = start(VALKEY_URL=own_valkey.address, DECISIONS_URL=NOWHERE, SCORER_MAX_DECISIONS_WAITING="5")
    for number in range(6):
        scorer.score(number, number, number, 100, T)
    wait_for(lambda: not capacity(scorer)["ok"])
    rejected = post(scorer, 11, 12)
    assert (rejected.status_code, rejected.headers["Retry-After"]) == (503, "1")
    assert "6 decisions are not in PostgreSQL yet, and SCORER_MAX_DECISIONS_WAITING is 5" in rejected.json()["detail"]
    assert own_valkey.client.xlen(DECISIONS_KEY) == 6
    assert not scorer.score(6, 6, 6, 100, T)["degraded"]
    own_valkey.fill(0.97)
    wait_for(lambda: memory_ratio(scorer) > 0.96)
    rejected = scorer.client.post("/v1/score", json=body(7, 7, 7, 100, T))
    assert (rejected.status_code, rejected.headers["Retry-After"]) == (503, "1")
    assert "payments are rejected for now" in rejected.json()["detail"]
    assert not own_valkey.client.exists("p:7")


steps = st.one_of(
    st.tuples(st.just("begin"), st.integers(1, 5)),
    st.tuples(st.just("end"), st.integers(0, 9)),
    st.just(("measure", 0)),
)


@given(todo=st.lists(steps, max_size=60))
def test_batches_never_exceed_the_limit_by_more_than_one(todo: list[tuple[str, int]]) -> None:
    """In any order of beginnings, ends and measurements, with a relay that records nothing."""

    async def run() -> None:
        pressure, under_way, outbox = Backpressure(LIMIT, Metrics()), list[tuple[int, AsyncExitStack]](), 0
        for step, number in todo:
            if step == "measure":
                pressure.measured(outbox, Memory())
            elif step == "end" and under_way:
                size, stack = under_way.pop(number % len(under_way))
                await stack.aclose()
                outbox += size
            elif step == "begin":
                stack = AsyncExitStack()
                before = outbox + sum(size for size, _ in under_way)
                try:
                    await stack.enter_async_context(pressure.batch(number))
                except OverloadedError:
                    assert before >= LIMIT
                else:
                    under_way.append((number, stack))
                    assert before < LIMIT

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backpressure, "WAIT_SECONDS", 0)
        asyncio.run(run())


def test_a_batch_waits_for_room_in_order_of_arrival() -> None:
    async def run() -> list[str]:
        pressure, seen = Backpressure(LIMIT, Metrics()), list[str]()
        pressure.measured(LIMIT, Memory())

        async def batch(name: str) -> None:
            async with pressure.batch(LIMIT):
                seen.append(name)
                await asyncio.sleep(0)
                pressure.measured(0, Memory())
            pressure.measured(0, Memory())

        tasks = [asyncio.create_task(batch(name)) for name in "abc"]
        await asyncio.sleep(0.1)
        seen.append("room")
        pressure.measured(0, Memory())
        # One that comes when there is room, and others still wait.
        tasks.append(asyncio.create_task(batch("late")))
        await asyncio.gather(*tasks)
        return seen

    assert asyncio.run(run()) == ["room", "a", "b", "c", "late"]


def test_only_some_batches_wait_and_the_others_are_rejected_at_once() -> None:
    async def run() -> tuple[int, int]:
        pressure = Backpressure(LIMIT, Metrics())
        pressure.measured(LIMIT, Memory())

        async def batch() -> None:
            async with pressure.batch(1):
                pass

        tasks = [asyncio.create_task(batch()) for _ in range(MAX_WAITING // 2 + 5)]
        await asyncio.sleep(0.1)
        early = sum(isinstance(task.exception(), OverloadedError) for task in tasks if task.done())
        late = await asyncio.gather(*tasks, return_exceptions=True)
        return early, sum(isinstance(error, OverloadedError) for error in late)

    assert asyncio.run(run()) == (5, MAX_WAITING // 2 + 5)


def test_batches_of_one_key_that_wait_leave_room_for_those_of_another_and_let_them_in_between() -> None:
    async def run() -> list[str]:
        pressure, seen = Backpressure(LIMIT, Metrics()), list[str]()
        pressure.measured(LIMIT, Memory())

        async def batch(key: str) -> None:
            CALLER.set(key)
            with suppress(OverloadedError):
                async with pressure.batch(LIMIT):
                    seen.append(key)
                    pressure.measured(0, Memory())
                pressure.measured(0, Memory())

        tasks = [asyncio.create_task(batch("many")) for _ in range(MAX_WAITING)]
        await asyncio.sleep(0.1)
        tasks.append(asyncio.create_task(batch("one")))
        await asyncio.sleep(0.1)
        pressure.measured(0, Memory())
        await asyncio.gather(*tasks)
        return seen

    assert "one" in asyncio.run(run())[:3]


def test_reports_are_rejected_while_memory_is_scarce() -> None:
    pressure = Backpressure(LIMIT, Metrics())
    pressure.measured(0, Memory(80, 100))
    pressure.require_memory()
    pressure.measured(0, Memory(90, 100))
    with pytest.raises(OverloadedError, match="fraud reports are rejected for now: 90% of Valkey's memory is used"):
        pressure.require_memory()
