"""Answers that the online store no longer has: the decision log has them, and an id keeps its first answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
import valkey

from contracts.online_state import IDS_KEY, payment_key, terminal_key
from serving.observability.metrics import Metrics
from serving.online_store.scripts import EXPIRED
from serving.online_store.store import ValkeyOnlineStore
from serving.recovery.recent_responses import RecentResponses
from serving.scoring.online_scorer import CHUNK, OnlineScorer
from serving.scoring.payment import Payment
from tests.serving.running import ScorerProcess, body, wait_for
from tests.serving.test_fraud_reports import reported
from tests.serving.test_online_store import T, ask
from tests.serving.test_online_store import state as own_state
from tests.serving.test_repeats_in_a_round import telling_champion

__all__ = ["own_state"]
DAY = 86_400
Fresh = Callable[[], int]


def pack(number: int) -> bytes:
    return number.to_bytes(8, "big")


@pytest.fixture
def expired(scorer: ScorerProcess, state: valkey.Valkey, decisions: Any, fresh: Fresh) -> tuple[int, ...]:
    """A recorded payment whose answer the online store has dropped, as after two days."""
    payment = (fresh(), fresh(), fresh(), 100, T)
    scorer.score(*payment)
    row = "select 1 from serving.decisions where transaction_id = %s"
    wait_for(lambda: decisions.execute(row, [payment[0]]).fetchone())
    state.delete(payment_key(payment[0]))
    state.hset(IDS_KEY, EXPIRED, pack(payment[0]))
    return payment


@pytest.mark.parametrize("many", [False, True])
def test_its_answer_is_repeated(
    scorer: ScorerProcess, decisions: Any, expired: tuple[int, ...], fresh: Fresh, many: bool
) -> None:
    recorded = scorer.client.get(f"/v1/decisions/{expired[0]}").json()
    # What came in between would change the features.
    scorer.score(fresh(), expired[1], expired[2], 9_000, T - 5)
    answer = scorer.batch([expired, (fresh(), fresh(), fresh(), 100, T)])[0] if many else scorer.score(*expired)
    assert answer.items() <= recorded.items()
    assert scorer.client.get(f"/v1/decisions/{expired[0]}").json() == recorded
    rows = decisions.execute("select count(*) from serving.decisions where transaction_id = %s", [expired[0]])
    assert rows.fetchone() == (1,)


def test_another_payload_is_a_conflict(scorer: ScorerProcess, expired: tuple[int, ...]) -> None:
    other = body(*expired[:3], 200, T)
    assert scorer.client.post("/v1/score", json=other).status_code == 409
    assert scorer.score(*expired)["transaction_id"] == expired[0]


def test_a_batch_with_another_payload_scores_nothing(
    scorer: ScorerProcess, state: valkey.Valkey, expired: tuple[int, ...], fresh: Fresh
) -> None:
    new = (fresh(), fresh(), fresh(), 100, T)
    asked = {"transactions": [body(*new), body(*expired[:3], 200, T)]}
    assert scorer.client.post("/v1/score/batch", json=asked).status_code == 409
    assert not state.exists(payment_key(new[0]), terminal_key(new[2]))


def test_an_old_id_that_was_never_used_is_scored(scorer: ScorerProcess, state: valkey.Valkey, fresh: Fresh) -> None:
    numbers = [fresh() for _ in range(3)]
    state.hset(IDS_KEY, EXPIRED, pack(numbers[-1]))
    scorer.score(numbers[0], fresh(), fresh(), 100, T)
    scorer.batch([(number, fresh(), fresh(), 100, T) for number in numbers[1:]])


def test_a_late_report_finds_it(scorer: ScorerProcess, state: valkey.Valkey, expired: tuple[int, ...]) -> None:
    assert scorer.report((expired[0], T + 5)) == {"accepted": 1, "unknown": []}
    assert reported(state, expired[2], expired[0]) == T + 5


def test_answers_are_kept_for_the_days_of_the_setting(
    scorer: ScorerProcess, state: valkey.Valkey, fresh: Fresh
) -> None:
    number = fresh()
    scorer.score(number, fresh(), fresh(), 100, T)
    assert DAY < state.ttl(payment_key(number)) <= 2 * DAY


@pytest.mark.parametrize(("days_ago", "asked"), [(0, False), (1, False), (2, True), (9, True)])
def test_only_ids_of_days_whose_answers_expire_are_asked_for(
    valkey_server: Any, own_state: valkey.Valkey, fresh: Fresh, days_ago: int, asked: bool
) -> None:
    payment, higher = (Payment(fresh(), fresh(), fresh(), 100, T) for _ in range(2))
    seconds, _ = own_state.time()
    own_state.delete(IDS_KEY)
    own_state.hset(IDS_KEY, str(seconds // DAY - days_ago), pack(payment.transaction_id))

    async def claim(store: ValkeyOnlineStore) -> list[Any]:
        return [await store.claim([one]) for one in (payment, higher)]

    old, new = ask(valkey_server, claim)
    assert isinstance(old, list) is not asked
    assert isinstance(new, list)


def test_without_the_log_an_old_id_counts_as_new(valkey_server: Any, own_state: valkey.Valkey, fresh: Fresh) -> None:
    """Scoring continues while PostgreSQL is unavailable; the metric counts what was not checked."""
    payments = [Payment(fresh(), fresh(), fresh(), 100, T) for _ in range(2)]
    own_state.hset(IDS_KEY, EXPIRED, pack(payments[-1].transaction_id))
    metrics, asked = Metrics(), list[int]()

    class Away:
        async def find(self, ids: Any) -> Any:
            asked.extend(ids)
            raise psycopg.OperationalError("away")

    async def score(store: Any) -> list[Any]:
        scorer = OnlineScorer(store, Away(), RecentResponses(), lambda: datetime(2026, 1, 1, tzinfo=UTC), metrics)
        return [(await scorer.score_round(telling_champion(), [payment]))[0] for payment in payments]

    assert [record["degraded"] for record in ask(valkey_server, score)] == [False, False]
    assert asked == [payments[0].transaction_id]
    assert b"scorer_old_ids_unchecked_total 2.0" in metrics.render()


def test_many_old_ids_are_asked_for_in_parts(valkey_server: Any, own_state: valkey.Valkey, fresh: Fresh) -> None:
    payments = [Payment(fresh(), fresh(), fresh(), 100, T) for _ in range(2 * CHUNK + 10)]
    own_state.hset(IDS_KEY, EXPIRED, pack(payments[-1].transaction_id))
    asked: list[int] = []

    class Log:
        async def find(self, ids: Any) -> Any:
            asked.append(len(ids))
            return {}

    async def reserve(store: Any) -> Any:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        return await OnlineScorer(store, Log(), RecentResponses(), lambda: now, Metrics()).reserve(payments)

    assert ask(valkey_server, reserve) is None
    assert asked == [CHUNK, CHUNK, 10]


def test_a_log_that_hangs_delays_a_round_for_a_moment_only(
    valkey_server: Any, own_state: valkey.Valkey, fresh: Fresh
) -> None:
    payment = Payment(fresh(), fresh(), fresh(), 100, T)
    own_state.hset(IDS_KEY, EXPIRED, pack(payment.transaction_id))

    class Hanging:
        async def find(self, _: Any) -> Any:
            await asyncio.Event().wait()

    async def score(store: Any) -> Any:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        scorer = OnlineScorer(store, Hanging(), RecentResponses(), lambda: now, Metrics())
        return await asyncio.wait_for(scorer.score_round(telling_champion(), [payment]), 10)

    assert [record["degraded"] for record in ask(valkey_server, score)] == [False]
