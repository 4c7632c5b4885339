"""POST /v1/score/batch: scored in order of time, answered in order of the request, all or nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import valkey

from contracts.online_state import payment_key
from tests.serving.running import ScorerProcess, body

T = 1_535_600_000
Fresh = Callable[[], int]


def test_payments_are_scored_in_order_of_time_and_answered_in_order_of_the_request(
    scorer: ScorerProcess, fresh: Fresh
) -> None:
    customer = fresh()
    payments = [(fresh(), customer, fresh(), 100 * n, T - n) for n in range(1, 6)]
    answers = scorer.batch(payments)
    assert [answer["transaction_id"] for answer in answers] == [payment[0] for payment in payments]
    counts = [scorer.features(payment[0])["customer_tx_count_1d"] for payment in payments]
    assert counts == [5, 4, 3, 2, 1]


def test_a_batch_of_more_than_one_round_trip(scorer: ScorerProcess, fresh: Fresh) -> None:
    customer, terminal = fresh(), fresh()
    payments = [(fresh(), customer, terminal, 100, T + n % 7) for n in range(600)]
    answers = scorer.batch(payments)
    assert [answer["transaction_id"] for answer in answers] == [payment[0] for payment in payments]
    in_time = sorted(payments, key=lambda payment: (payment[4], payment[0]))
    for n in (0, 249, 250, 599):
        assert scorer.features(in_time[n][0])["customer_tx_count_1d"] == n + 1


def test_a_batch_gives_what_single_payments_give(scorer: ScorerProcess, fresh: Fresh) -> None:
    shape = [(n % 3, n % 2, 7_000 * n, T + 60 * n) for n in range(12)]
    both_ways: list[list[dict[str, Any]]] = []
    for together in (True, False):
        ids = [fresh() for _ in range(20)]
        payments = [(ids[n], ids[12 + c], ids[16 + t], cents, second) for n, (c, t, cents, second) in enumerate(shape)]
        answers = scorer.batch(payments) if together else [scorer.score(*payment) for payment in payments]
        both_ways.append([answer | {"transaction_id": 0} for answer in answers])
    assert both_ways[0] == both_ways[1]
    assert len({answer["decision"] for answer in both_ways[0]}) > 1


def test_known_payments_get_their_first_answers_among_new_ones(scorer: ScorerProcess, fresh: Fresh) -> None:
    known, new = (fresh(), fresh(), fresh(), 700, T), (fresh(), fresh(), fresh(), 800, T)
    first = scorer.score(*known)
    answers = scorer.batch([new, known, new])
    assert answers[1] == first
    assert answers[0] == answers[2]
    assert scorer.batch([known, new]) == [first, answers[0]]


def test_an_empty_batch_has_no_answers_and_degrades_no_others(scorer: ScorerProcess, fresh: Fresh) -> None:
    trips = scorer.log.read_text().count('"online store unavailable"')
    for _ in range(3):
        assert scorer.batch([]) == []
        assert scorer.batch([], explain=True) == []
        assert not scorer.score(fresh(), fresh(), fresh(), 100, T)["degraded"]
    assert scorer.log.read_text().count('"online store unavailable"') == trips


def refused(scorer: ScorerProcess, payments: list[dict[str, Any]], status: int) -> Any:
    answer = scorer.client.post("/v1/score/batch", json={"transactions": payments})
    assert answer.status_code == status
    return answer.json()["detail"]


def nothing_is_known_of(state: valkey.Valkey, *payments: dict[str, Any]) -> bool:
    return not state.exists(*(payment_key(payment["transaction_id"]) for payment in payments))


@pytest.mark.parametrize(("field", "value"), [("amount", -1), ("occurred_at", "2999-01-01T00:00:00Z"), ("x", 1)])
def test_with_one_invalid_payment_none_is_scored(
    scorer: ScorerProcess, state: valkey.Valkey, fresh: Fresh, field: str, value: object
) -> None:
    good = [body(fresh(), fresh(), fresh(), 100, T) for _ in range(4)]
    detail = refused(scorer, [*good[:3], good[3] | {field: value}], 422)
    assert [one["field"] for one in detail] == [f"transactions.3.{field}"]
    assert nothing_is_known_of(state, *good)


def test_with_one_conflicting_id_none_is_scored(scorer: ScorerProcess, state: valkey.Valkey, fresh: Fresh) -> None:
    known = body(fresh(), fresh(), fresh(), 100, T)
    scorer.client.post("/v1/score", json=known)
    good = [body(fresh(), fresh(), fresh(), 100, T - 50) for _ in range(2)]
    detail = refused(scorer, [*good, known | {"amount": 2}], 409)
    assert detail == f"transactions.2: transaction {known['transaction_id']} already exists with a different payload"
    assert nothing_is_known_of(state, *good)


def test_with_an_id_in_two_different_bodies_none_is_scored(
    scorer: ScorerProcess, state: valkey.Valkey, fresh: Fresh
) -> None:
    one = body(fresh(), fresh(), fresh(), 100, T)
    detail = refused(scorer, [one, one | {"amount": 2}], 409)
    assert detail == f"transactions.1: transaction {one['transaction_id']} has a different payload at transactions.0"
    assert nothing_is_known_of(state, one)


def test_too_large_a_batch_is_rejected(scorer: ScorerProcess) -> None:
    detail = refused(scorer, [body(1, 2, 3, 100, T)] * 5_001, 422)
    assert detail[0]["field"] == "transactions"


def test_many_errors_are_counted_and_the_first_are_listed(scorer: ScorerProcess) -> None:
    answer = scorer.client.post("/v1/score/batch", json={"transactions": [{}] * 100})
    assert answer.status_code == 422
    assert (len(answer.json()["detail"]), answer.json()["errors"]) == (50, 500)
