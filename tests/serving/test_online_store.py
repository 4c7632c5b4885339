"""The Lua scripts, called directly to test concurrent clients."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
import valkey

from contracts.online_state import (
    DAYS_KEY,
    DECISIONS_KEY,
    LOCATION,
    META_KEY,
    RECONCILED,
    Stamp,
    index_key,
    payment_key,
)
from serving.errors import OnlineStoreUnavailableError
from serving.online_store.connection import Call
from serving.online_store.protocol import Answered, Claim, Conflict
from serving.online_store.scripts import Script
from serving.online_store.store import REPORTS_AT_ONCE, ValkeyOnlineStore, connect
from serving.scoring.payment import Location, Payment
from serving.scoring.report import Report

T = 1_536_100_000
DATABASE = 14
Fresh = Callable[[], int]


@pytest.fixture
def state(valkey_server: Any) -> Any:
    """A separate stamped store, which no scorer drains."""
    client = valkey.Valkey(port=valkey_server.port, password=valkey_server.password, db=DATABASE)
    client.flushdb()
    client.hset(META_KEY, mapping=Stamp(written_to="2018-08-31").fields() | {RECONCILED: "1"})
    return client


def ask(valkey_server: Any, question: Callable[[ValkeyOnlineStore], Any]) -> Any:
    async def run() -> Any:
        client = connect(f"valkey://127.0.0.1:{valkey_server.port}/{DATABASE}", valkey_server.password, 5)
        try:
            return await question(ValkeyOnlineStore(client, 5.0))
        finally:
            await client.aclose(close_connection_pool=True)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("method", "expected"),
    [("reserve", None), ("claim", []), ("store_responses", []), ("merge_decisions", []), ("locate", {}),
     ("answers", {}), ("unanswered", []), ("accept_reports", []), ("merge_reports", None)],
)  # fmt: skip
def test_nothing_can_be_asked_of_the_store(valkey_server: Any, state: Any, method: str, expected: Any) -> None:
    """A script that fails would open the circuit breaker, and degrade the payments of others."""
    assert ask(valkey_server, lambda online: getattr(online, method)([])) == expected


def test_the_first_of_two_answers_is_kept_and_streamed_once(valkey_server: Any, state: Any, fresh: Fresh) -> None:
    payment = Payment(fresh(), fresh(), fresh(), 100, T)
    claims = ask(valkey_server, lambda online: online.claim([payment, payment]))
    assert [type(claim) for claim in claims] == [Claim, Claim]
    assert claims[0] == claims[1]
    for answer in (b"the first", b"the second"):
        offered = [(payment, answer)]
        assert ask(valkey_server, partial(ValkeyOnlineStore.store_responses, answers=offered)) == [b"the first"]
    assert [fields for _, fields in state.xrange(DECISIONS_KEY)] == [{b"decision": b"the first"}]
    (again,) = ask(valkey_server, lambda online: online.claim([payment]))
    assert again == Answered(b"the first")


def test_many_concurrent_round_trips_leave_connections_for_other_work(valkey_server: Any, state: Any) -> None:
    async def many(online: ValkeyOnlineStore) -> str:
        await asyncio.gather(*(online.incompatible() for _ in range(200)))
        return await online.pin_run()

    assert state.info("server")["run_id"] == ask(valkey_server, many)


def test_an_answer_without_its_claim_is_not_kept(valkey_server: Any, state: Any, fresh: Fresh) -> None:
    claimed, lost = (Payment(fresh(), fresh(), fresh(), 100, T) for _ in range(2))
    ask(valkey_server, lambda online: online.claim([claimed, lost]))
    state.delete(payment_key(lost.transaction_id))
    before = state.xlen(DECISIONS_KEY)
    offered = [(claimed, b"one"), (lost, b"other")]
    with pytest.raises(OnlineStoreUnavailableError, match="lost its data"):
        ask(valkey_server, partial(ValkeyOnlineStore.store_responses, answers=offered))
    assert state.xlen(DECISIONS_KEY) == before


def test_a_call_that_began_before_a_restart_is_rejected_after_the_new_run_is_accepted(
    valkey_server: Any, state: Any, fresh: Fresh
) -> None:
    payment = Payment(fresh(), fresh(), fresh(), 100, T)

    async def wait(online: ValkeyOnlineStore) -> None:
        online._run_id = "another"
        online._round_trips = asyncio.Semaphore(0)
        claim = asyncio.create_task(online.claim([payment]))
        await asyncio.sleep(0)
        await online.pin_run()
        online._round_trips.release()
        with pytest.raises(OnlineStoreUnavailableError, match="was restarted"):
            await claim
        assert [type(one) for one in await online.claim([payment])] == [Claim]

    ask(valkey_server, wait)


def test_a_restarted_valkey_is_rejected_until_it_is_accepted(valkey_server: Any, state: Any) -> None:
    async def after_another(online: ValkeyOnlineStore) -> str:
        online._run_id = "another"
        with pytest.raises(OnlineStoreUnavailableError, match="was restarted"):
            await online.incompatible()
        await online.pin_run()
        return await online.incompatible()

    assert ask(valkey_server, after_another) == ""


def test_reserved_is_not_applied(valkey_server: Any, state: Any, fresh: Fresh) -> None:
    payment = Payment(fresh(), fresh(), fresh(), 100, T)
    other = Payment(payment.transaction_id, payment.customer_id, payment.terminal_id, 101, T)
    assert ask(valkey_server, lambda online: online.reserve([payment])) is None
    assert ask(valkey_server, lambda online: online.reserve([Payment(fresh(), 1, 1, 1, T), other])) == 1
    assert ask(valkey_server, lambda online: online.locate([payment.transaction_id])) == {}
    (conflict,) = ask(valkey_server, lambda online: online.claim([other]))
    assert isinstance(conflict, Conflict)
    assert 0 < state.ttl(payment_key(payment.transaction_id)) <= 2 * 86_400


def test_payments_are_located_where_they_are_scored_or_in_the_newest_day(
    valkey_server: Any, state: Any, fresh: Fresh
) -> None:
    """The lake's days can have a payment twice, if it was corrected."""
    ids = [fresh() for _ in range(2 * REPORTS_AT_ONCE + 100)]
    # 8 bytes of which Lua must not make a number or the end of a text.
    ids += [0, 2**63 - 1, 10, 2**32]
    expected: dict[int, Location] = {}
    days = [f"2018-08-{day:02}" for day in range(1, 31)]
    state.sadd(DAYS_KEY, *days)
    for n, number in enumerate(ids):
        for day in days[n % 13 : n % 13 + n % 3 : 2 - n % 2] if n % 5 else []:
            expected[number] = (n, T + int(day[-2:]), n * 7)
            state.hset(index_key(day), number.to_bytes(8, "big"), np.array([expected[number]], LOCATION).tobytes())
        payment = Payment(number, 1, 10**12 + n, 100 + n, T)
        if n % 7 == 0:
            state.hset(payment_key(number), mapping={"body": payment.body, "applied": n})
            expected[number] = (payment.terminal_id, payment.second, payment.cents)
        elif n % 7 == 1:
            # Reserved, but in no history yet.
            state.hset(payment_key(number), mapping={"body": payment.body})
    assert 0 < len(expected) < len(ids)
    assert ask(valkey_server, lambda online: online.locate(ids)) == expected
    assert ask(valkey_server, lambda online: online.locate([])) == {}
    state.delete(DAYS_KEY)
    assert ask(valkey_server, lambda online: online.locate(ids[-3:])) == {
        number: expected[number] for n, number in enumerate(ids) if n % 7 == 0 and number in ids[-3:]
    }


def test_large_reports_take_turns_in_small_parts(valkey_server: Any, state: Any, fresh: Fresh) -> None:
    ids = [fresh() for _ in range(1_000)]
    reports = [Report(number, T, (number, T, 100)) for number in ids]
    under_way: list[int] = []
    most, sizes = 0, []

    async def report(online: ValkeyOnlineStore) -> None:
        real = online._run

        async def run(script: Script, calls: Sequence[Call]) -> list[Any]:
            nonlocal most
            under_way.append(1)
            most = max(most, len(under_way))
            sizes.append(sum(len(keys) for keys, _ in calls))
            answers = await real(script, calls)
            under_way.pop()
            return answers

        online._run = run  # type: ignore[method-assign]
        await asyncio.gather(
            *(online.locate(ids) for _ in range(3)), *(online.merge_reports(reports) for _ in range(2))
        )

    ask(valkey_server, report)
    assert most == 1
    assert max(sizes) <= REPORTS_AT_ONCE + 1
    assert sum(sizes) >= 5 * len(ids)
