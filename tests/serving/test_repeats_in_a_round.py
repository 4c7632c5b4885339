"""A payment that is several times in one round, as after a retry or a hedged request, has one answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import cycle
from types import SimpleNamespace
from typing import Any

import numpy as np
import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.bundle import Thresholds
from contracts.online_state import DECISIONS_KEY
from contracts.zones import UTC as UTC_ZONE
from serving.observability.metrics import Metrics
from serving.online_store.protocol import Conflict
from serving.recovery.recent_responses import RecentResponses
from serving.scoring.decision_records import Record
from serving.scoring.online_scorer import OnlineScorer
from serving.scoring.payment import Payment
from tests.serving.test_long_histories import fill
from tests.serving.test_online_store import T, ask, state

__all__ = ["state"]
Fresh = Callable[[], int]
IDS = 4
rounds = st.lists(st.lists(st.integers(0, IDS - 1), min_size=1, max_size=8), min_size=1, max_size=4)


def telling_champion() -> Any:
    """A champion whose score depends on every feature, so that another history is another score."""

    def scores(matrix: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return 1 / (1 + np.exp(-np.tanh(matrix / 1_000).sum(axis=1)))

    bundle = SimpleNamespace(thresholds=Thresholds(review=1, decline=1), features_version="1", bank_zone=UTC_ZONE)
    return SimpleNamespace(version="1", bundle=bundle, scores=scores)


def score_rounds(valkey_server: Any, rounds: Sequence[Sequence[Payment]]) -> list[list[Record | Conflict]]:
    async def run(store: Any) -> list[list[Record | Conflict]]:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        scorer = OnlineScorer(store, SimpleNamespace(), RecentResponses(), lambda: now, Metrics())
        in_turn = cycle([scorer.score_round, scorer.score_some])
        return [await score(telling_champion(), payments) for score, payments in zip(in_turn, rounds, strict=False)]

    found: list[list[Record | Conflict]] = ask(valkey_server, run)
    return found


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=rounds, seconds=st.permutations(range(IDS)))
def test_every_id_has_one_answer_in_rounds_with_repeats_in_any_order(
    rounds: list[list[int]], seconds: list[int], valkey_server: Any, state: Any, fresh: Fresh
) -> None:
    """Payments of one customer at one terminal, so that each claim changes what the next one sees."""
    customer, terminal = fresh(), fresh()
    payments = [Payment(fresh(), customer, terminal, 100 + n, T + 60 * second) for n, second in enumerate(seconds)]
    before = state.xlen(DECISIONS_KEY)
    answers = score_rounds(valkey_server, [[payments[n] for n in indexes] for indexes in rounds])
    first: dict[int, Record] = {}
    for indexes, round_ in zip(rounds, answers, strict=True):
        for n, answer in zip(indexes, round_, strict=True):
            assert not isinstance(answer, Conflict)
            assert first.setdefault(payments[n].transaction_id, answer) == answer
    streamed = [orjson.loads(fields[b"decision"]) for _, fields in state.xrange(DECISIONS_KEY)][before:]
    assert {record["transaction_id"]: record for record in streamed} == first
    assert len(streamed) == len(first)


def test_a_round_ends_before_long_histories_and_the_rest_can_be_asked_again(
    valkey_server: Any, state: Any, fresh: Fresh
) -> None:
    short, *long = [Payment(fresh(), fresh(), fresh(), 100, T - n) for n in range(15)]
    for payment in long:
        fill(state, payment.terminal_id, 20_000, T - 60)
    left, answers = [short, *long, short], list[Record | Conflict]()
    while left:
        _, some = score_rounds(valkey_server, [[], left])
        assert 1 <= len(some) < 12
        answers, left = answers + some, left[len(some) :]
    assert answers[0] == answers[-1]
    assert [answer["transaction_id"] for answer in answers if not isinstance(answer, Conflict)] == [
        payment.transaction_id for payment in [short, *long, short]
    ]


def test_a_repeat_with_another_payload_is_a_conflict(valkey_server: Any, state: Any, fresh: Fresh) -> None:
    payment = Payment(fresh(), fresh(), fresh(), 100, T)
    other = Payment(payment.transaction_id, payment.customer_id, payment.terminal_id, 101, T)
    (answers,) = score_rounds(valkey_server, [[payment, other, payment]])
    assert [isinstance(answer, Conflict) for answer in answers] == [False, True, False]
    assert answers[0] == answers[2]


def test_the_store_keeps_the_first_of_two_answers_in_one_call(valkey_server: Any, state: Any, fresh: Fresh) -> None:
    payment = Payment(fresh(), fresh(), fresh(), 100, T)
    ask(valkey_server, lambda online: online.claim([payment]))
    offered = [(payment, b"the first"), (payment, b"the second")]

    async def store(online: Any) -> list[bytes]:
        return list(await online.store_responses(offered))

    assert ask(valkey_server, store) == [b"the first", b"the first"]
    assert [fields for _, fields in state.xrange(DECISIONS_KEY)] == [{b"decision": b"the first"}]
