"""Scripts on entities with long histories: bounded by bytes, so that no call of one takes long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import valkey

from contracts.labels import NEVER
from contracts.online_state import (
    META_KEY,
    pack_entries,
    pack_reported,
    pack_second,
    payment_key,
    terminal_key,
    unpack_history,
)
from serving.online_store.protocol import Claim
from serving.online_store.scripts import ANSWER_BYTES
from serving.online_store.store import ValkeyOnlineStore
from serving.scoring.payment import Payment
from serving.scoring.report import Report
from tests.serving.test_online_store import T, ask, state

__all__ = ["state"]
DAY = 86_400
Fresh = Callable[[], int]


def fill(client: valkey.Valkey, terminal: int, payments: int, until: int = T) -> None:
    """Give a terminal a history of payments over the 36 days before an instant."""
    seconds = np.linspace(until - 36 * DAY, until - 1, payments).astype(np.int64)
    values = pack_reported(np.full(payments, 100), np.full(payments, NEVER))
    entries = pack_entries(seconds, np.arange(payments, dtype=np.int64), values)
    client.set(terminal_key(terminal), pack_second(until - 90 * DAY) + entries.tobytes())


def test_payments_at_one_terminal_share_its_history(valkey_server: Any, state: Any, fresh: Fresh) -> None:
    terminal = fresh()
    fill(state, terminal, 20_000)
    payments = [Payment(fresh(), fresh(), terminal, 100, T + n) for n in range(250)]
    claims = ask(valkey_server, lambda online: online.claim(payments))
    assert [type(claim) for claim in claims] == [Claim] * 250
    assert len({id(claim.terminal) for claim in claims}) == 1
    assert len(unpack_history(claims[0].terminal)[1]) == 20_250


def test_a_claim_ends_before_its_answer_is_too_long(valkey_server: Any, state: Any, fresh: Fresh) -> None:
    payments = [Payment(fresh(), fresh(), fresh(), 100, T + n) for n in range(40)]
    for payment in payments:
        fill(state, payment.terminal_id, 20_000)
    numbers, left = [], payments
    while left:
        claims = ask(valkey_server, lambda online, left=left: online.claim(left))
        assert 1 <= len(claims) <= ANSWER_BYTES // (20_000 * 24)
        numbers += [claim.applied for claim in claims]
        left = left[len(claims) :]
    assert numbers == sorted(numbers)


def test_the_first_payments_are_claimed_whatever_their_position(valkey_server: Any, state: Any, fresh: Fresh) -> None:
    late, *earlier = [Payment(fresh(), fresh(), fresh(), 100, T - n) for n in range(40)]
    for payment in earlier:
        fill(state, payment.terminal_id, 20_000, T - 60)
    claims = ask(valkey_server, lambda online: online.claim([late, *earlier]))
    claimed = [claim.payment for claim in claims]
    assert claimed == [late, *earlier][: len(claimed)]
    assert 2 <= len(claimed) < 40
    assert [claim.applied for claim in claims] == sorted((claim.applied for claim in claims), reverse=True)
    for payment in earlier[len(claimed) :]:
        assert not state.exists(payment_key(payment.transaction_id)), "nothing is claimed of the others"


def test_the_first_payment_is_claimed_however_long_its_history(valkey_server: Any, state: Any, fresh: Fresh) -> None:
    long, short = (Payment(fresh(), fresh(), fresh(), 100, T + n) for n in range(2))
    fill(state, long.terminal_id, ANSWER_BYTES // 24 + 1)
    assert [claim.payment for claim in ask(valkey_server, lambda online: online.claim([long, short]))] == [long]


def test_recorded_decisions_are_merged_in_parts(valkey_server: Any, state: Any, fresh: Fresh) -> None:
    recorded = [(Payment(fresh(), fresh(), fresh(), 100, T - n), b"answer", n % 2 * (100 + n)) for n in range(40)]
    for payment, _, _ in recorded:
        fill(state, payment.terminal_id, 20_000)
    numbers = ask(valkey_server, lambda online: online.merge_decisions(recorded))
    assert [number for n, number in enumerate(numbers) if n % 2] == [100 + n for n in range(40) if n % 2]
    for (payment, answer, _), number in zip(recorded, numbers, strict=True):
        assert state.hmget(payment_key(payment.transaction_id), "applied", "answer") == [str(number).encode(), answer]
        assert ask(valkey_server, lambda online, one=payment: online.locate([one.transaction_id]))


def test_many_payments_at_one_terminal_are_merged_with_one_write(valkey_server: Any, state: Any, fresh: Fresh) -> None:
    terminal = fresh()
    fill(state, terminal, 20_000)
    recorded = [(Payment(fresh(), fresh(), terminal, 100, T - 30 * DAY - n), b"answer", 0) for n in range(250)]
    before = state.info("persistence")["aof_current_size"]
    ask(valkey_server, lambda online: online.merge_decisions(recorded))
    assert state.info("persistence")["aof_current_size"] - before < 250 * 800


def test_reports_at_busy_terminals_are_accepted_in_parts(
    valkey_server: Any, state: Any, fresh: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminals, calls = [fresh() for _ in range(40)], []
    for terminal in terminals:
        fill(state, terminal, 20_000)
    reports = [Report(n, T, (terminal, T - 1, 100)) for n, terminal in enumerate([*terminals, *terminals], start=10**6)]
    real = ValkeyOnlineStore._call

    async def call(self: Any, script: Any, keys: Any, arguments: Any) -> Any:
        calls.append([key for key in keys if key.startswith("t:")])
        return await real(self, script, keys, arguments)

    monkeypatch.setattr(ValkeyOnlineStore, "_call", call)
    accepted = ask(valkey_server, lambda online: online.accept_reports(reports))
    assert sorted(report.transaction_id for report in accepted) == [report.transaction_id for report in reports]
    assert all(report.applied for report in accepted)
    assert max(len(keys) for keys in calls) <= ANSWER_BYTES // (20_000 * 24)
    assert sorted(key for keys in calls for key in keys) == sorted(terminal_key(terminal) for terminal in terminals)


def test_a_state_of_format_2_is_taken_over(valkey_server: Any, state: Any) -> None:
    """Format 3 is format 2 with late entries under keys of their own; older code must not read it any more."""
    state.hset(META_KEY, "state_format", "2")
    assert ask(valkey_server, lambda online: online.incompatible()) == ""
    assert state.hget(META_KEY, "state_format") == b"3"
