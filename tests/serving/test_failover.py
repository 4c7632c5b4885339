"""Nothing is lost by a failover to a replica that is behind, a loss of data under a wrong clock, a stopped scorer."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import psycopg
import pytest
import valkey

from contracts.labels import NEVER
from contracts.online_state import (
    APPLIED_KEY,
    DECISIONS_KEY,
    META_KEY,
    REPORTS_KEY,
    Stamp,
    customer_key,
    payment_key,
    terminal_key,
    unpack_history,
    unpack_reported,
)
from demo.embedded_servers import Server, start_postgres, start_valkey
from serving.scoring.report import Report
from tests.serving.conftest import Start
from tests.serving.running import ROOT, ScorerProcess, reports_body, wait_for
from tests.serving.test_recovery_lock import HOLDER

T = 1_535_900_000
LONG_AGO = 11
"""Seconds: a failure used to lose what was older than ten seconds."""
Fresh = Callable[[], int]
Payment = tuple[int, int, int, int, int]


@dataclass
class System:
    """A scorer, and its stores, which a test may stop."""

    scorer: ScorerProcess
    valkey: Server
    postgres: Server
    url: str
    password: str
    copies: int = field(default=0)

    @property
    def state(self) -> Any:
        return valkey.Valkey(port=self.valkey.port, password=self.valkey.password)

    def rows(self, query: str, *arguments: Any) -> list[Any]:
        with psycopg.connect(self.url, user="scorer", password=self.password, autocommit=True) as log:
            found = log.execute(query, arguments)  # type: ignore[call-overload]
            return found.fetchall() if found.description else []

    def ready(self) -> bool:
        return self.scorer.client.get("/readyz").status_code == 200

    def recorded(self, *ids: int) -> bool:
        query = "select count(*) from serving.decisions where transaction_id = any(%s)"
        return self.rows(query, list(ids)) == [(len(ids),)]

    def relayed(self) -> bool:
        return bool(self.state.xlen(DECISIONS_KEY) == 0 and self.state.xlen(REPORTS_KEY) == 0)

    def copy(self) -> Path:
        """What a replica has that gets nothing from now on."""
        self.copies += 1
        folder = self.valkey.log.parent / f"replica-{self.copies}"
        shutil.copytree(self.valkey.log.parent / "data", folder)
        return folder

    def fail_over(self, replica: Path) -> None:
        self.valkey.process.kill()
        self.valkey.process.wait()
        self.start_valkey(replica)

    def start_valkey(self, data: Path) -> None:
        shutil.copytree(data, self.valkey.log.parent / "next")
        shutil.rmtree(self.valkey.log.parent / "data")
        (self.valkey.log.parent / "next").rename(self.valkey.log.parent / "data")
        again = start_valkey(self.valkey.log.parent / "data", self.valkey.password, self.valkey.log, self.valkey.port)
        self.valkey.process = again.process

    def start_postgres(self) -> None:
        data = self.postgres.log.with_name("postgres")
        again = start_postgres(data, self.postgres.password, self.postgres.log, self.postgres.port)
        self.postgres.process = again.process

    def after_trip(self, cause: Callable[[], object]) -> None:
        """Wait until the scorer has noticed a failure and has recovered from it."""
        told = '"online store unavailable"'
        before = self.scorer.log.read_text().count(told)
        cause()
        wait_for(lambda: self.scorer.log.read_text().count(told) > before and self.ready(), self.scorer.log.read_text)


@pytest.fixture(scope="module")
def system(
    tmp_path_factory: pytest.TempPathFactory,
    valkey_server: Any,
    postgres: Any,
    make_database: Callable[[Any, str], str],
    start: Start,
    secrets: Path,
) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("failover")
    own_valkey = start_valkey(folder / "data", valkey_server.password, folder / "valkey.log")
    own_postgres = start_postgres(folder / "postgres", postgres.password, folder / "postgres.log")
    url = make_database(own_postgres, "decisions")
    with valkey.Valkey(port=own_valkey.port, password=own_valkey.password) as client:
        client.hset(META_KEY, mapping=Stamp(written_to="2018-08-31").fields())
    scorer = start(VALKEY_URL=f"valkey://127.0.0.1:{own_valkey.port}/0", DECISIONS_URL=url)
    password = (secrets / "decisions_password").read_text().strip()
    yield System(scorer, own_valkey, own_postgres, url, password)
    own_valkey.stop()
    own_postgres.stop()


@pytest.fixture
def payments(fresh: Fresh) -> list[Payment]:
    """Payments of one customer at one terminal, a minute apart."""
    customer, terminal = fresh(), fresh()
    return [(fresh(), customer, terminal, 100 + n, T + 60 * n) for n in range(20)]


def score(system: System, payments: list[Payment]) -> list[dict[str, Any]]:
    return [system.scorer.score(*payment) for payment in payments]


def reported(system: System, terminal: int) -> dict[int, int]:
    """The second of each payment's report in a terminal's history."""
    entries = unpack_history(system.state.get(terminal_key(terminal)))[1].tolist()
    seconds = unpack_reported(np.array([value for _, _, value in entries]))[1].tolist()
    return {number: second for (_, number, _), second in zip(entries, seconds, strict=True) if second != NEVER}


def check_all(system: System, payments: list[Payment], answers: list[dict[str, Any]]) -> None:
    """Every payment is recorded with its answer, is in both histories, and keeps its answer."""
    wait_for(system.relayed)
    found = system.rows(
        "select transaction_id, score, degraded from serving.decisions where transaction_id = any(%s) order by 1",
        [payment[0] for payment in payments],
    )
    assert found == [(answer["transaction_id"], answer["score"], answer["degraded"]) for answer in answers]
    for key in (customer_key(payments[0][1]), terminal_key(payments[0][2])):
        kept = unpack_history(system.state.get(key))[1].tolist()
        assert {number for _, number, _ in kept} >= {payment[0] for payment in payments}
    numbers = system.rows("select count(*), count(distinct applied) from serving.decisions where applied > 0")
    assert numbers[0][0] == numbers[0][1], "each payment has its own sequence number"
    # Last, because what is forgotten would be scored again.
    assert score(system, payments) == answers


def test_a_failover_to_a_replica_behind_while_postgresql_is_away(system: System, payments: list[Payment]) -> None:
    before, unrecorded = payments[:3], payments[3:]
    answers = score(system, before)
    wait_for(system.relayed)
    replica = system.copy()
    system.postgres.stop()
    answers += score(system, unrecorded)
    assert system.scorer.report(*[(number, T + 5_000) for number, *_ in unrecorded])["accepted"] == len(unrecorded)
    time.sleep(LONG_AGO)
    # The newest answer is no older than the failure.
    last = (payments[-1][0] + 10**9, *payments[-1][1:4], T + 60 * len(payments))
    answers += score(system, [last])
    system.fail_over(replica)
    system.start_postgres()
    wait_for(system.ready, system.scorer.log.read_text)
    check_all(system, [*payments, last], answers)
    assert reported(system, payments[0][2]) == dict.fromkeys((number for number, *_ in unrecorded), T + 5_000)
    found = "select transaction_id, reported_at from serving.fraud_reports where terminal_id = %s"
    assert len(system.rows(found, payments[0][2])) == len(unrecorded)


def test_a_failover_to_a_replica_behind(system: System, payments: list[Payment]) -> None:
    before, after = payments[:3], payments[3:]
    answers = score(system, before)
    replica = system.copy()
    answers += score(system, after)
    assert system.scorer.report(*[(number, T + 5_000) for number, *_ in payments])["accepted"] == len(payments)
    wait_for(system.relayed)
    # Known to be in the log, and no longer kept by the scorer.
    wait_for(lambda: "\nscorer_unconfirmed 0.0" in system.scorer.client.get("/metrics").text)
    system.after_trip(lambda: system.fail_over(replica))
    check_all(system, payments, answers)
    assert reported(system, payments[0][2]) == dict.fromkeys((number for number, *_ in payments), T + 5_000)


@pytest.mark.parametrize("clock", ["+ interval '10 years'", "+ interval '1 hour'", "- interval '10 years'"])
def test_a_loss_of_all_data_whatever_the_clocks_of_the_scorers_were(
    system: System, payments: list[Payment], clock: str
) -> None:
    answers = score(system, payments)
    wait_for(lambda: system.recorded(*(number for number, *_ in payments)))
    system.scorer.report(*[(number, T + 5_000) for number, *_ in payments[:5]])
    wait_for(system.relayed)
    system.rows(f"update serving.decisions set decided_at = decided_at {clock}")

    def lose() -> None:
        system.state.flushall()
        system.state.hset(META_KEY, mapping=Stamp(written_to="2018-08-31").fields())

    system.after_trip(lose)
    check_all(system, payments, answers)
    assert reported(system, payments[0][2]) == dict.fromkeys((number for number, *_ in payments[:5]), T + 5_000)


def test_a_recorded_answer_that_is_lost_without_its_claim_is_restored(system: System, payments: list[Payment]) -> None:
    # The other payment is earlier: scored again, the first would be scored with both.
    earlier, later = payments[:2]
    answer = system.scorer.score(*later)
    system.scorer.score(*earlier)
    wait_for(lambda: system.recorded(earlier[0], later[0]))
    system.scorer.kill()
    system.state.hdel(payment_key(later[0]), "answer")
    system.fail_over(system.copy())
    system.scorer.start()
    assert system.scorer.score(*later) == answer
    assert system.scorer.features(later[0])["customer_tx_count_1d"] == 1


def test_a_scorer_that_starts_after_a_failover_waits_for_the_log(system: System, payments: list[Payment]) -> None:
    first, later = payments[:5], payments[5:]
    answers = score(system, first)
    replica = system.copy()
    answers += score(system, later)
    wait_for(lambda: system.recorded(*(number for number, *_ in payments)))
    system.scorer.kill()
    system.postgres.stop()
    system.fail_over(replica)
    system.scorer.start(ready=False)
    # It would give numbers again, and miss payments in the histories.
    assert not system.ready()
    assert system.scorer.client.post("/v1/fraud-reports", json=reports_body((first[0][0], T + 9))).status_code == 503
    system.start_postgres()
    wait_for(system.ready, system.scorer.log.read_text)
    check_all(system, payments, answers)


def test_older_data_under_the_same_server_is_noticed(system: System, payments: list[Payment]) -> None:
    answers = score(system, payments)
    wait_for(lambda: system.recorded(*(number for number, *_ in payments)))
    # The scorer has looked at the counter.
    time.sleep(2.5)

    def replicate() -> None:
        ids = [payment_key(number) for number, *_ in payments]
        with system.state.pipeline() as pipe:
            pipe.delete(*ids, customer_key(payments[0][1]), terminal_key(payments[0][2]))
            pipe.decrby(APPLIED_KEY, len(payments))
            pipe.execute()

    system.after_trip(replicate)
    check_all(system, payments, answers)


def test_a_stopped_scorer_with_the_lock_does_not_keep_others_degraded(system: System, fresh: Fresh) -> None:
    settings = os.environ | {"DECISIONS_URL": system.url, "PASSWORD": system.password}
    holder = subprocess.Popen([sys.executable, "-c", HOLDER], cwd=ROOT, env=settings, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout
        assert holder.stdout.readline() == "True\n"
        os.kill(holder.pid, signal.SIGSTOP)
        system.after_trip(lambda: system.fail_over(system.copy()))
    finally:
        holder.kill()
        holder.wait()
    assert not system.scorer.score(fresh(), fresh(), fresh(), 100, T)["degraded"]


def test_reports_wait_while_postgresql_is_away(system: System, payments: list[Payment]) -> None:
    score(system, payments)
    wait_for(system.relayed)
    system.postgres.stop()
    sent = [(number, T + 5_000) for number, *_ in payments]
    assert system.scorer.report(*sent)["accepted"] == len(payments)
    # Again, and one earlier: each payment is recorded once, with its earliest report.
    assert system.scorer.report(*sent, (payments[0][0], T + 4_000))["accepted"] == len(payments) + 1
    wait_for(lambda: "fraud reports not relayed" in system.scorer.log.read_text())
    system.start_postgres()
    wait_for(system.relayed, system.scorer.log.read_text)
    query = (
        "select transaction_id, extract(epoch from reported_at)::int from serving.fraud_reports where terminal_id = %s"
    )
    expected = dict(sent) | {payments[0][0]: T + 4_000}
    assert dict(system.rows(query, payments[0][2])) == expected
    assert reported(system, payments[0][2]) == expected


def test_a_damaged_entry_of_reports_is_set_aside(system: System, payments: list[Payment]) -> None:
    score(system, payments[:1])
    wait_for(system.relayed)
    damaged = [b"{", b"[{}]", b'[{"transaction_id": "x"}]', b"[1]", b'["\\u0000"]', b"[{}]", b"[" * 100_000]
    report = Report(payments[0][0], T, (1, T, 100), 1).as_row()
    damaged += [orjson.dumps([report | {name: "infinity"}]) for name in ("reported_at", "occurred_at")]
    for kept in damaged:
        system.state.xadd(REPORTS_KEY, {"reports": kept, "applied": "7"})
    system.state.xadd(REPORTS_KEY, {"other": "field"})
    system.scorer.report((payments[0][0], T + 9))
    wait_for(system.relayed, system.scorer.log.read_text)
    assert system.state.xlen("fraud_reports:set_aside") == len(damaged) + 1
    assert system.rows("select 1 from serving.fraud_reports where transaction_id = %s", payments[0][0]) == [(1,)]
