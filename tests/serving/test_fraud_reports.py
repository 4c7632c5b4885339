"""POST /v1/fraud-reports: known payments are found, the earliest report counts, unknown ids are returned."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import numpy as np
import psycopg
import valkey

from contracts.labels import DAY, NEVER
from contracts.online_state import (
    DAYS_KEY,
    index_key,
    pack_entries,
    pack_reported,
    pack_second,
    payment_key,
    terminal_key,
    unpack_history,
    unpack_reported,
)
from contracts.transaction import FraudReport, from_epoch_seconds
from serving.decision_log.backpressure import Backpressure
from serving.observability.metrics import Metrics
from serving.online_store.fraud_reports import FraudReporter, Outcome
from serving.recovery.circuit_breaker import CircuitBreaker
from serving.recovery.confirmer import UnconfirmedReports
from serving.scoring.payment import Location
from tests.serving.running import ScorerProcess, reports_body, wait_for

T = 1_534_000_000
Fresh = Callable[[], int]


def reported(state: valkey.Valkey, terminal: int, number: int) -> int:
    """The second of the payment's report in the terminal's history."""
    packed: Any = state.get(terminal_key(terminal))
    (found,) = [value for _, each, value in unpack_history(packed)[1].tolist() if each == number]
    return int(unpack_reported(np.array([found]))[1][0])


def test_the_earliest_report_of_a_scored_payment_counts(
    scorer: ScorerProcess, state: valkey.Valkey, fresh: Fresh
) -> None:
    number, terminal = fresh(), fresh()
    scorer.score(number, fresh(), terminal, 100, T)
    assert reported(state, terminal, number) == NEVER
    assert scorer.report((number, T + 500), (number, T + 300)) == {"accepted": 2, "unknown": []}
    assert scorer.report((number, T + 400)) == {"accepted": 1, "unknown": []}
    assert reported(state, terminal, number) == T + 300
    scorer.report((number, T + 200))
    assert reported(state, terminal, number) == T + 200


def test_unknown_ids_are_returned_once_each_and_known_ones_accepted(
    scorer: ScorerProcess, state: valkey.Valkey, fresh: Fresh
) -> None:
    known, terminal, unknown = fresh(), fresh(), fresh()
    scorer.score(known, fresh(), terminal, 100, T)
    answer = scorer.report((unknown, T), (known, T), (unknown, T), (2**63 - 5, T))
    assert answer == {"accepted": 1, "unknown": [unknown, 2**63 - 5]}
    assert reported(state, terminal, known) == T
    assert scorer.report() == {"accepted": 0, "unknown": []}


def test_a_payment_written_from_the_lake(scorer: ScorerProcess, state: valkey.Valkey, fresh: Fresh) -> None:
    number, terminal = 2**63 - 77, fresh()
    entry = pack_entries(np.array([T]), np.array([number]), pack_reported(np.array([750]), np.array([NEVER])))
    state.set(terminal_key(terminal), pack_second(0) + entry.tobytes())
    state.sadd(DAYS_KEY, "2018-08-10", "2018-08-11")
    place = terminal.to_bytes(8, "big") + T.to_bytes(8, "big") + (750).to_bytes(8, "big")
    state.hset(index_key("2018-08-11"), number.to_bytes(8, "big"), place)  # type: ignore[arg-type]
    assert scorer.report((number, T + 9)) == {"accepted": 1, "unknown": []}
    assert reported(state, terminal, number) == T + 9


def test_a_payment_only_in_the_decision_log(
    scorer: ScorerProcess, state: valkey.Valkey, decisions: psycopg.Connection[Any], fresh: Fresh
) -> None:
    number, terminal = fresh(), fresh()
    first = scorer.score(number, fresh(), terminal, 100, T)
    found = "select 1 from serving.decisions where transaction_id = %s"
    wait_for(lambda: decisions.execute(found, [number]).fetchone())
    state.delete(payment_key(number))
    assert scorer.report((number, T + 9)) == {"accepted": 1, "unknown": []}
    assert reported(state, terminal, number) == T + 9
    told = scorer.client.get(f"/v1/decisions/{number}").json()
    assert told.items() >= first.items()
    assert told["features"]["amount"] == 1.0


def test_a_report_of_an_expired_payment_does_not_restore_it(
    scorer: ScorerProcess, state: valkey.Valkey, fresh: Fresh
) -> None:
    number, terminal = fresh(), fresh()
    scorer.score(number, fresh(), terminal, 100, T)
    scorer.score(fresh(), fresh(), terminal, 100, T + 50 * DAY)
    before = state.get(terminal_key(terminal))
    assert scorer.report((number, T + 9)) == {"accepted": 1, "unknown": []}
    assert state.get(terminal_key(terminal)) == before


def test_invalid_reports_are_rejected_by_field_and_none_is_accepted(
    scorer: ScorerProcess, state: valkey.Valkey, fresh: Fresh
) -> None:
    number, terminal = fresh(), fresh()
    scorer.score(number, fresh(), terminal, 100, T)
    future = reports_body((number, T), (number, int(time.time()) + 900))
    no_zone = {
        "reports": [*reports_body((number, T))["reports"], {"transaction_id": 1, "reported_at": "2018-01-01T00:00:00"}]
    }
    for sent in (future, no_zone):
        answer = scorer.client.post("/v1/fraud-reports", json=sent)
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["field"] == "reports.1.reported_at"
    assert reported(state, terminal, number) == NEVER
    too_many = reports_body(*[(number, T)] * 5_001)
    assert scorer.client.post("/v1/fraud-reports", json=too_many).status_code == 422


def test_many_reports_in_one_request(scorer: ScorerProcess, state: valkey.Valkey, fresh: Fresh) -> None:
    terminals, numbers = [fresh() for _ in range(3)], [fresh() for _ in range(900)]
    scorer.batch([(number, fresh(), terminals[n % 3], 100, T + n) for n, number in enumerate(numbers)])
    answer = scorer.report(*[(number, T + 1_000 + n) for n, number in reversed(list(enumerate(numbers)))])
    assert answer == {"accepted": 900, "unknown": []}
    assert [reported(state, terminals[n % 3], numbers[n]) for n in (0, 1, 899)] == [T + 1_000, T + 1_001, T + 1_899]


class Unknown:
    """Both stores, which know no payment; counts the log's queries, of which one may run at a time."""

    def __init__(self) -> None:
        self.queries: list[int] = []
        self.running = False

    async def locate(self, ids: Sequence[int]) -> dict[int, Location]:
        assert not self.running, "a second connection of the log"
        self.running = True
        await asyncio.sleep(0.001)
        self.running = False
        self.queries.append(len(ids))
        return {}


def test_reports_that_come_together_share_queries_of_the_log() -> None:
    log, store = Unknown(), SimpleNamespace(locate=AsyncMock(return_value={}))

    async def run() -> list[Outcome]:
        breaker, metrics = CircuitBreaker(Metrics()), Metrics()
        breaker.close(recovered=True)
        parts: Any = (store, log, breaker, UnconfirmedReports(1), Backpressure(1, metrics), metrics)
        reporter, at = FraudReporter(*parts), from_epoch_seconds(T)
        small = [[FraudReport(transaction_id=number, reported_at=at)] for number in range(500)]
        large = [[FraudReport(transaction_id=number, reported_at=at) for number in range(1_000)]]
        return await asyncio.gather(*map(reporter.take, small + large))

    outcomes = asyncio.run(run())
    assert [outcome.unknown for outcome in outcomes] == [[number] for number in range(500)] + [list(range(1_000))]
    assert len(log.queries) < 30
