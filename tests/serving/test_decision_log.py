"""Decisions in PostgreSQL: each exactly once, even if processes die."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
import valkey

from contracts.features import FEATURES_VERSION
from contracts.online_state import DECISIONS_KEY, META_KEY, RECONCILED, Stamp
from demo.embedded_servers import Server, start_postgres
from serving.decision_log.log import PostgresDecisionLog
from serving.decision_log.outbox_relay import GROUP, SET_ASIDE_KEY
from tests.serving.conftest import Start
from tests.serving.running import ScorerProcess, reports_body, wait_for

T = 1_535_800_000
DATABASES = itertools.count(1)
Fresh = Callable[[], int]
Recorded = Callable[[str], list[int]]
Make = Callable[[Any, str], str]


def test_a_row_has_everything_behind_the_decision(
    scorer: ScorerProcess, decisions: psycopg.Connection[Any], fresh: Fresh
) -> None:
    number, customer, terminal = 2**63 - 9, fresh(), fresh()
    answer = scorer.score(number, customer, terminal, 85_320, T)
    query = "select row_to_json(d) from serving.decisions d where transaction_id = %s"
    wait_for(lambda: decisions.execute(query, [number]).fetchone())
    found = decisions.execute(query, [number]).fetchone()
    assert found
    row = found[0]
    told = scorer.client.get(f"/v1/decisions/{number}").json()
    assert {name: row[name] for name in answer} == answer
    assert row["features"] == told["features"]
    assert (row["customer_id"], row["terminal_id"], row["amount"]) == (customer, terminal, 853.2)
    assert row["occurred_at"] == "2018-09-01T11:06:40+00:00"
    assert row["features_version"] == FEATURES_VERSION
    assert row["applied"] > 0


def test_the_order_of_application_is_recorded(
    scorer: ScorerProcess, decisions: psycopg.Connection[Any], fresh: Fresh
) -> None:
    payments = [(fresh(), fresh(), fresh(), 100, T - n) for n in range(4)]
    scorer.score(*payments[0])
    scorer.batch(payments[1:])
    ids = [payment[0] for payment in payments]
    query = "select transaction_id from serving.decisions where transaction_id = any(%s) order by applied"
    wait_for(lambda: decisions.execute(query, [ids]).rowcount == 4)
    assert [row[0] for row in decisions.execute(query, [ids])] == [ids[0], ids[3], ids[2], ids[1]]


@dataclass(frozen=True)
class OwnState:
    """A separate online store: its client, and its address for a scorer."""

    client: Any
    address: str

    def drained(self) -> bool:
        return bool(self.client.xlen(DECISIONS_KEY) == 0)


@pytest.fixture
def own_state(valkey_server: Any) -> OwnState:
    """A separate online store, stamped and otherwise empty."""
    # Scorers of earlier tests may still run and drain the shared store.
    database = next(DATABASES)
    client = valkey.Valkey(port=valkey_server.port, password=valkey_server.password, db=database)
    client.flushdb()
    # As an earlier scorer left it: the first scorer on a store cannot start without its decision log.
    client.hset(META_KEY, mapping=Stamp(written_to="2018-08-31").fields() | {RECONCILED: "1"})
    return OwnState(client, f"valkey://127.0.0.1:{valkey_server.port}/{database}")


@pytest.fixture
def recorded(secrets: Path) -> Recorded:
    """Returns the sorted ids in the decision log at a URL."""
    password = (secrets / "decisions_password").read_text().strip()

    def read(url: str) -> list[int]:
        with psycopg.connect(url, user="scorer", password=password) as connection:
            return [row[0] for row in connection.execute("select transaction_id from serving.decisions order by 1")]

    return read


@pytest.fixture
def own_postgres(tmp_path: Path, postgres: Any) -> Any:
    """A PostgreSQL that a test may stop."""
    server = start_postgres(tmp_path / "data", postgres.password, tmp_path / "postgres.log")
    yield server
    server.stop()


@pytest.fixture
def own_log(own_postgres: Server, make_database: Make) -> str:
    """A decision log on `own_postgres`."""
    return make_database(own_postgres, "decisions")


def test_while_postgresql_is_down_decisions_wait_and_none_is_lost(
    start: Start, own_state: OwnState, own_postgres: Server, own_log: str, recorded: Recorded
) -> None:
    scorer = start(VALKEY_URL=own_state.address, DECISIONS_URL=own_log)
    scorer.batch([(number, number, number, 100, T) for number in range(10)])
    wait_for(own_state.drained)
    own_postgres.stop()
    for number in range(10, 20):
        scorer.score(number, number, number, 100, T)
    wait_for(lambda: "decisions not relayed" in scorer.log.read_text())
    readiness = scorer.client.get("/readyz")
    assert readiness.status_code == 200
    assert (readiness.json()["degraded"], readiness.json()["checks"]["decision_log"]["ok"]) == (True, False)
    assert scorer.client.get("/v1/decisions/15").status_code == 200
    # The log cannot rule out this decision, so the answer is not 404.
    assert scorer.client.get("/v1/decisions/77").status_code == 503
    assert scorer.client.post("/v1/fraud-reports", json=reports_body((15, T), (77, T))).status_code == 503
    # Killed while decisions wait, and restarted while PostgreSQL is still down.
    scorer.kill()
    scorer.start()
    scorer.batch([(number, number, number, 100, T) for number in range(20, 40)])
    assert own_state.client.xlen(DECISIONS_KEY) == 30
    data = own_postgres.log.with_name("data")
    own_postgres.process = start_postgres(data, own_postgres.password, own_postgres.log, own_postgres.port).process
    wait_for(own_state.drained)
    wait_for(lambda: not scorer.client.get("/readyz").json()["degraded"])
    assert recorded(own_log) == list(range(40))
    assert scorer.log.read_text().count('"decisions not relayed"') == 2
    assert scorer.stop() == 0


def test_entries_left_unfinished_by_another_process_are_drained(
    start: Start, own_state: OwnState, postgres: Any, make_database: Make, recorded: Recorded
) -> None:
    client = own_state.client
    scorer = start(VALKEY_URL=own_state.address, DECISIONS_URL="postgresql://127.0.0.1:1/nowhere")
    for number in range(3):
        scorer.score(number, number, number, 100, T)
    scorer.kill()
    # As if another process had read them long ago.
    entries = [entry for entry, _ in client.xrange(DECISIONS_KEY)]
    claimed = client.xclaim(DECISIONS_KEY, GROUP, "elsewhere", 0, entries, idle=3_600_000, force=True)
    assert len(claimed) == 3
    url = make_database(postgres, "decisions_reclaimed")
    start(VALKEY_URL=own_state.address, DECISIONS_URL=url)
    wait_for(own_state.drained)
    assert recorded(url) == [0, 1, 2]
    assert client.xpending(DECISIONS_KEY, GROUP)["pending"] == 0
    # The same decision again, as after a crash between commit and acknowledgement.
    client.xadd(DECISIONS_KEY, {"decision": client.hget("p:1", "answer")})
    wait_for(own_state.drained)
    assert recorded(url) == [0, 1, 2]


def test_the_scorer_drains_the_outbox_at_shutdown(
    start: Start, own_state: OwnState, postgres: Any, make_database: Make, recorded: Recorded
) -> None:
    url = make_database(postgres, "decisions_at_the_end")
    scorer = start(VALKEY_URL=own_state.address, DECISIONS_URL=url)
    scorer.batch([(number, number, number, 100, T) for number in range(1_200)])
    assert scorer.stop() == 0
    assert recorded(url) == list(range(1_200))
    assert own_state.drained()


IMPOSSIBLE: list[dict[str, Any]] = [
    {"occurred_at": "infinity"},
    {"decided_at": "-infinity"},
    {"occurred_at": "294000-01-01T00:00:00Z"},
    {"decided_at": "0044-03-15T00:00:00Z BC"},
    {"score": "NaN"},
    {"score": 1.5},
    {"amount": "NaN"},
    {"amount": "-5.00"},
    {"applied": 2**63 - 1},
    {"applied": -1},
    {"customer_id": -1},
    {"transaction_id": -7},
    {"decision": "perhaps"},
    {"reasons": {}},
    {"features": [1]},
]
"""Values that PostgreSQL's types allow and no scorer writes; some could not be read again, which stopped recovery."""


def test_a_record_that_postgresql_rejects_is_set_aside_and_the_others_are_recorded(
    start: Start, own_state: OwnState, postgres: Any, make_database: Make, recorded: Recorded
) -> None:
    client, url = own_state.client, make_database(postgres, "decisions_set_aside")
    scorer = start(VALKEY_URL=own_state.address, DECISIONS_URL=url)
    scorer.score(1, 1, 1, 100, T)
    wait_for(own_state.drained)
    good = orjson.loads(client.hget("p:1", "answer"))
    bad = [
        orjson.dumps(good | {"transaction_id": 901}).replace(b'"score":', b'"score":NaN,"was":'),
        orjson.dumps(good | {"transaction_id": 902, "customer_id": None, "amount": "77.77"}),
        orjson.dumps(good | {"transaction_id": 903, "amount": "a lot"}),
        b"\xff",
        orjson.dumps(good | {"transaction_id": 904})[:40],
        *(orjson.dumps(good | {"transaction_id": 910 + n} | wrong) for n, wrong in enumerate(IMPOSSIBLE)),
        # PostgreSQL's parser gives up: not an error of the data by its class.
        b'{"transaction_id":905,"reasons":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ]
    with client.pipeline() as pipe:
        pipe.xadd(DECISIONS_KEY, {"decision": orjson.dumps(good | {"transaction_id": 800})})
        for record in bad:
            pipe.xadd(DECISIONS_KEY, {"decision": record})
        pipe.xadd(DECISIONS_KEY, {"another": "field"})
        pipe.xadd(DECISIONS_KEY, {"decision": orjson.dumps(good | {"transaction_id": 801})})
        pipe.execute()
    wait_for(own_state.drained)
    assert recorded(url) == [1, 800, 801]
    kept = [fields for _, fields in client.xrange(SET_ASIDE_KEY)]
    assert [fields.get(b"decision") for fields in kept] == [*bad, None]
    assert all(fields[b"reason"] for fields in kept)
    log = scorer.log.read_text()
    assert log.count('"decision set aside"') == len(bad) + 1
    assert "77.77" not in log, "no amount or customer in the log"
    scorer.score(2, 2, 2, 100, T)
    wait_for(own_state.drained)
    assert recorded(url) == [1, 2, 800, 801]
    assert f"scorer_decisions_set_aside_total {len(bad) + 1}.0" in scorer.client.get("/metrics").text


def test_a_locked_table_holds_up_neither_the_relay_nor_readiness(
    start: Start, own_state: OwnState, postgres: Any, make_database: Make, recorded: Recorded, secrets: Path
) -> None:
    """A session that locks the table, such as a migration, must not use up the deadlines of statements."""
    url = make_database(postgres, "decisions_locked")
    scorer = start(VALKEY_URL=own_state.address, DECISIONS_URL=url, SCORER_TIMEOUT_SECONDS="2")
    password = (secrets / "decisions_password").read_text().strip()
    with psycopg.connect(url, user="scorer", password=password) as other:
        other.execute("lock table serving.decisions")
        began = time.monotonic()
        scorer.score(1, 1, 1, 100, T)
        check = scorer.client.get("/readyz").json()["checks"]["decision_log"]
        assert not check["ok"]
        assert "a table of the decision log is locked" in check["detail"]
        wait_for(lambda: "LockNotAvailable: canceling statement due to lock timeout" in scorer.log.read_text())
        # A statement without a lock timeout ends at its deadline, after 22 s.
        assert time.monotonic() - began < 15
        assert own_state.client.xlen(DECISIONS_KEY) == 1
    wait_for(own_state.drained)
    assert recorded(url) == [1]
    wait_for(lambda: scorer.client.get("/readyz").json()["checks"]["decision_log"]["ok"])


def test_of_many_decisions_on_a_payment_the_first_counts(
    start: Start, own_state: OwnState, postgres: Any, make_database: Make, secrets: Path
) -> None:
    url = make_database(postgres, "decisions_twice")
    scorer = start(VALKEY_URL=own_state.address, DECISIONS_URL=url)
    scorer.score(0, 1, 1, 100, T)
    wait_for(own_state.drained)
    good = orjson.loads(own_state.client.hget("p:0", "answer"))
    # So many that PostgreSQL would not sort equal ids in their order by chance.
    kept = [good | {"transaction_id": 1 + n % 7, "customer_id": n} for n in range(200, 0, -1)]
    password = (secrets / "decisions_password").read_text().strip()

    async def append() -> int:
        log = PostgresDecisionLog(url, password, 5)
        await log.open()
        try:
            return await log.append([orjson.dumps(record) for record in kept])
        finally:
            await log.close()

    assert asyncio.run(append()) == 7
    with psycopg.connect(url, user="scorer", password=password) as connection:
        rows = connection.execute("select customer_id from serving.decisions where transaction_id > 0").fetchall()
    assert sorted(number for (number,) in rows) == list(range(194, 201))
