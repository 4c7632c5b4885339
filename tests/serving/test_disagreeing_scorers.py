"""A scorer that is still degraded repeats what another one, which uses the online store again, answered."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from valkey.exceptions import ConnectionError as ValkeyConnectionError

from contracts.zones import UTC as UTC_ZONE
from serving.observability.metrics import Metrics
from serving.online_store.protocol import Conflict
from serving.recovery.circuit_breaker import CircuitBreaker, State
from serving.recovery.confirmer import UnconfirmedReports
from serving.recovery.recent_responses import RecentResponses
from serving.recovery.reconciler import Reconciler
from serving.scoring import degraded_scorer
from serving.scoring.decision_records import Record, pack, unpack
from serving.scoring.degraded_scorer import DegradedScorer
from serving.scoring.payment import Payment

T = 1_536_500_000
MINE, OTHER = Payment(1, 2, 3, 400, T), Payment(1, 2, 3, 500, T)


def record_of(payment: Payment, score: float) -> Record:
    occurred = datetime.fromtimestamp(payment.second, UTC).isoformat()
    names = ("transaction_id", "customer_id", "terminal_id")
    return {name: getattr(payment, name) for name in names} | {
        "amount": f"{payment.cents / 100:.2f}",
        "occurred_at": occurred,
        "score": score,
        "decision": "approve",
    }


class Log:
    """The decision log, which has these answers."""

    def __init__(self, known: Mapping[int, Record]) -> None:
        self.known = dict(known)
        self.recorded: dict[int, Record] = {}

    async def find(self, ids: Sequence[int]) -> dict[int, Record]:
        return {number: self.known[number] for number in ids if number in self.known}

    async def record(self, kept: Mapping[int, bytes]) -> dict[int, Record]:
        self.recorded |= {number: unpack(answer) for number, answer in kept.items()}
        return {}


class Store:
    """The online store: it has these answers, or does not answer."""

    def __init__(self, kept: Mapping[int, bytes] | None) -> None:
        self._kept = kept

    async def answers(self, ids: Sequence[int]) -> dict[int, bytes]:
        if self._kept is None:
            raise ValkeyConnectionError
        return {number: self._kept[number] for number in ids if number in self._kept}


def scorer_with(monkeypatch: pytest.MonkeyPatch, log: Log, store: Store, state: State) -> tuple[Any, ...]:
    monkeypatch.setattr(degraded_scorer, "compute_features", lambda *_: SimpleNamespace(matrix=None))
    monkeypatch.setattr(
        degraded_scorer, "make_records", lambda _, claims, *__: [record_of(claim.payment, 0.9) for claim in claims]
    )
    metrics, recent = Metrics(), RecentResponses()
    breaker = CircuitBreaker(metrics)
    breaker.state = state
    parts: Any = (breaker, store, log, recent, UnconfirmedReports(1), metrics)
    reconciler = Reconciler(*parts)

    async def backfill(_: list[Record]) -> None: ...

    clock = lambda: datetime.now(UTC)  # noqa: E731
    asked: Any = (log, recent, clock, metrics, backfill, reconciler.stored_answers)
    return DegradedScorer(*asked), breaker, recent


CHAMPION: Any = SimpleNamespace(scores=lambda _: None, bundle=SimpleNamespace(bank_zone=UTC_ZONE))
KEPT = {1: pack(record_of(MINE, 0.2))}


def score(scorer: DegradedScorer, payment: Payment) -> Any:
    return asyncio.run(scorer.score_round(CHAMPION, [payment]))[0]


def test_an_answer_in_the_store_is_repeated_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log({})
    scorer, _, recent = scorer_with(monkeypatch, log, Store(KEPT), State.RECOVERING)
    assert score(scorer, MINE)["score"] == 0.2
    assert not log.recorded
    assert recent.unconfirmed.oldest() == [1], "it may be in the store alone"
    assert isinstance(score(scorer, OTHER), Conflict)


def test_the_log_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log({1: record_of(MINE, 0.5)})
    scorer, *_ = scorer_with(monkeypatch, log, Store(KEPT), State.RECOVERING)
    assert score(scorer, MINE)["score"] == 0.5


def test_a_store_that_does_not_answer_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log({})
    scorer, *_ = scorer_with(monkeypatch, log, Store(KEPT), State.OPEN)
    assert score(scorer, MINE)["score"] == 0.9
    assert set(log.recorded) == {1}


def test_a_store_that_fails_again_does_not_stop_scoring(monkeypatch: pytest.MonkeyPatch) -> None:
    scorer, breaker, _ = scorer_with(monkeypatch, Log({}), Store(None), State.RECOVERING)
    assert score(scorer, MINE)["score"] == 0.9
    assert breaker.state is State.OPEN


def test_a_batch_is_looked_up_in_parts_and_the_first_conflict_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    payments = [Payment(number, 2, 3, 400, T) for number in range(1_000)]
    log = Log({number: record_of(Payment(number, 2, 3, 500, T), 0.5) for number in (600, 700)})
    asked: list[int] = []
    find = log.find

    async def counted(ids: Sequence[int]) -> dict[int, Record]:
        asked.append(len(ids))
        return await find(ids)

    monkeypatch.setattr(log, "find", counted)
    scorer, *_ = scorer_with(monkeypatch, log, Store(None), State.OPEN)
    assert asyncio.run(scorer.conflict(payments)) == 600
    assert max(asked) <= 250
    assert asyncio.run(scorer.conflict(payments[:600])) is None
