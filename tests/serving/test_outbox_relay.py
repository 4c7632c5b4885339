"""The outbox relay in this process: nothing is lost or left, in any order of failures and bad records."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import psycopg
import pytest
import valkey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from valkey.exceptions import ConnectionError as ValkeyConnectionError
from valkey.exceptions import TimeoutError as ValkeyTimeoutError

from contracts.online_state import DECISIONS_KEY
from serving.decision_log import outbox_relay
from serving.decision_log.backpressure import Backpressure
from serving.decision_log.outbox_relay import (
    BATCH,
    GROUP,
    LARGEST_BATCH,
    MANY,
    SET_ASIDE_KEY,
    UNRECORDABLE,
    OutboxRelay,
    batch_size,
)
from serving.observability.metrics import Metrics
from serving.online_store.store import connect

DATABASE = 10
BAD = b"bad"
UNSTEADY = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Log:
    """Records what it is given; fails as told, before or after the row is committed."""

    def __init__(self, failures: Sequence[str] = ()) -> None:
        self.rows: list[bytes] = []
        self.sizes: list[int] = []
        self.failures = list(failures)

    async def append(self, kept: Sequence[bytes]) -> int:
        failure = self.failures.pop() if self.failures else "none"
        if failure == "before":
            raise psycopg.OperationalError
        if BAD in kept:
            raise psycopg.DataError("a bad record")
        self.rows += kept
        self.sizes.append(len(kept))
        if failure == "after":
            raise psycopg.OperationalError
        return len(kept)


@pytest.fixture
def outbox(valkey_server: Any) -> Any:
    client = valkey.Valkey(port=valkey_server.port, password=valkey_server.password, db=DATABASE)
    client.flushdb()
    return client


def relay(server: Any, log: Log, work: Callable[[OutboxRelay], Awaitable[Any]]) -> Any:
    """Run `work` on a relay to `log`."""

    async def run() -> Any:
        client = connect(f"valkey://127.0.0.1:{server.port}/{DATABASE}", server.password, 5)
        metrics = Metrics()
        try:
            return await work(OutboxRelay(client, log, metrics, Backpressure(1, metrics), lambda _: None))
        finally:
            await client.aclose(close_connection_pool=True)

    return asyncio.run(run())


def fill(outbox: Any, records: Sequence[bytes]) -> None:
    with outbox.pipeline() as pipe:
        for record in records:
            pipe.xadd(DECISIONS_KEY, {"decision": record})
        pipe.execute()


async def some_rounds(one: OutboxRelay) -> None:
    """A few rounds that may fail, and the end of a process."""
    for _ in range(3):
        await one._try(None)
    await one.finish()


@UNSTEADY
@given(
    records=st.lists(st.one_of(st.just(BAD), st.integers(0, 99).map(lambda n: str(n).encode())), max_size=12),
    failures=st.lists(st.sampled_from(["none", "before", "after"]), max_size=6),
)
def test_every_record_is_recorded_or_set_aside(
    records: list[bytes], failures: list[str], valkey_server: Any, outbox: Any
) -> None:
    outbox.flushdb()
    fill(outbox, records)
    log = Log(failures)
    # After the failures at most one more process is needed.
    for _ in range(len(failures) + 2):
        relay(valkey_server, log, some_rounds)
    assert outbox.xlen(DECISIONS_KEY) == 0
    assert set(log.rows) == set(records) - {BAD}
    assert outbox.xlen(SET_ASIDE_KEY) == records.count(BAD)
    assert issubclass(psycopg.DataError, UNRECORDABLE)


def test_entries_whose_reply_was_lost_are_read_again(
    valkey_server: Any, outbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks after Valkey handed out entries: its retry gets later ones."""
    monkeypatch.setattr(outbox_relay, "RECLAIM_SECONDS", 0.05)
    fill(outbox, [b"1", b"2"])

    async def work(one: OutboxRelay) -> None:
        await one._try(None)
        fill(outbox, [b"3"])
        outbox.xreadgroup(GROUP, one._consumer, {DECISIONS_KEY: ">"})
        fill(outbox, [b"4"])
        await one._try(None)
        await asyncio.sleep(0.1)
        await one._try(None)

    log = Log()
    relay(valkey_server, log, work)
    assert log.rows == [b"1", b"2", b"4", b"3"]
    assert outbox.xlen(DECISIONS_KEY) == 0


def test_many_entries_of_a_dead_process_are_taken_over_together(
    valkey_server: Any, outbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(outbox, [str(n).encode() for n in range(1_500)])
    outbox.xgroup_create(DECISIONS_KEY, GROUP, id="0")
    outbox.xreadgroup(GROUP, "dead", {DECISIONS_KEY: ">"}, count=1_500)
    outbox.xclaim(DECISIONS_KEY, GROUP, "dead", 0, [n for n, _ in outbox.xrange(DECISIONS_KEY)], idle=3_600_000)

    async def work(one: OutboxRelay) -> None:
        for _ in range(3):
            await one._try(None)

    log = Log()
    relay(valkey_server, log, work)
    assert len(log.rows) == 1_500


def test_batches_grow_with_the_outbox(valkey_server: Any, outbox: Any) -> None:
    assert [batch_size(n) for n in (0, MANY - 1, MANY, 3_000, 10**6)] == [BATCH, BATCH, 500, 1_500, LARGEST_BATCH]
    log = Log()
    fill(outbox, [str(n).encode() for n in range(5_000)])
    relay(valkey_server, log, lambda one: one.finish())
    assert max(log.sizes) >= 1_000
    assert len(log.rows) == 5_000


def test_a_connection_error_is_reported(valkey_server: Any, outbox: Any) -> None:
    async def work(one: OutboxRelay) -> int | None:
        one._client = connect("valkey://127.0.0.1:1/0", "", 0.5)
        seen: list[Exception] = []
        one._on_failure = seen.append
        moved = await one._try(None)
        assert isinstance(seen[0], ValkeyConnectionError)
        return moved

    assert relay(valkey_server, Log(), work) is None


class Answers:
    """A relay's moves that fail or succeed in this order."""

    def __init__(self, *errors: Exception | None) -> None:
        self.errors = list(errors)

    async def move(self, _: int | None) -> int:
        if error := self.errors.pop(0):
            raise error
        return 1


LATE, CUT_OFF = ValkeyTimeoutError("late"), ValkeyConnectionError("cut off")


@pytest.mark.parametrize(
    ("errors", "failures"),
    [((LATE, None), 0), ((LATE, None, LATE, None), 0), ((LATE, LATE), 1), ((CUT_OFF,), 1), ((LATE, CUT_OFF, LATE), 1)],
)
def test_one_late_answer_is_no_failure_of_valkey(
    valkey_server: Any, errors: Sequence[Exception | None], failures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(one: OutboxRelay) -> int:
        seen: list[Exception] = []
        one._on_failure = seen.append
        monkeypatch.setattr(one, "_move", Answers(*errors).move)
        for _ in errors:
            await one._try(None)
        return len(seen)

    assert relay(valkey_server, Log(), work) == failures
