"""A forgotten customer is in neither store, while scorers run, and recovery does not bring it back."""

from __future__ import annotations

import itertools
import json
import os
import struct
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

import orjson
import psycopg
import pytest
import valkey

from contracts.online_state import (
    DAYS_KEY,
    DECISIONS_KEY,
    META_KEY,
    RECONCILED,
    REPORTS_KEY,
    Stamp,
    pack_positions,
    payment_key,
    unpack_history,
    with_late,
)
from serving.decision_log import outbox_relay, report_relay
from serving.erase import NOTHING
from tests.serving.conftest import Start
from tests.serving.running import ROOT, ScorerProcess, body, ok, wait_for

T = 1_535_900_000
DAY = "2018-09-02"
GONE, STAYS = 77_001, 77_002
SHARED = 77_100
NOWHERE = "postgresql://127.0.0.1:1/nowhere"
DATABASES = itertools.count(1)
Key = tuple[str, int]


@dataclass
class Stores:
    """An online store and a decision log of one test."""

    client: Any
    log: psycopg.Connection[Any]
    environment: dict[str, str]
    addresses: dict[str, str] = field(default_factory=dict)

    def erase(self, customer: int = GONE) -> dict[str, Any]:
        done = self.run(customer)
        assert done.returncode == 0, done.stderr
        said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return said

    def run(self, customer: int | str = GONE, **changed: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "serving.erase", "--customer", str(customer)]
        environment = os.environ | self.environment | self.addresses | changed
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    def entries(self) -> set[Key]:
        """Each history and index with the payments that it has."""
        found: set[Key] = set()
        for name in map(bytes.decode, self.client.scan_iter()):
            if name.startswith(("c:", "t:")) and not name.endswith(":late"):
                whole = with_late(self.client.get(name), self.client.get(f"{name}:late") or b"")
                found |= {(name, int(number)) for number in unpack_history(whole)[1]["transaction_id"]}
            elif name.startswith("i:"):
                found |= {(name, *struct.unpack(">q", number)) for number in self.client.hkeys(name)}
            elif name.startswith("p:"):
                found.add(("p:", int(name[2:])))
        return found

    def rows(self, table: str) -> set[int]:
        return {row[0] for row in self.log.execute(f"select transaction_id from serving.{table}".encode())}

    def drained(self) -> bool:
        return not self.client.xlen(DECISIONS_KEY) and not self.client.xlen(REPORTS_KEY)

    def recover(self, scorer: ScorerProcess) -> None:
        """Have the scorer bring the store up to date from the log and its memory."""
        before = scorer.log.read_text().count('"online store in use"')
        self.client.hset(META_KEY, RECONCILED, "another scorer's")
        wait_for(lambda: scorer.log.read_text().count('"online store in use"') > before)
        # And again from the log alone.
        self.client.hset(META_KEY, RECONCILED, "again")
        wait_for(lambda: scorer.log.read_text().count('"online store in use"') > before + 1)


@pytest.fixture
def stores(valkey_server: Any, postgres: Any, make_database: Any, settings: dict[str, str]) -> Any:
    database = next(DATABASES)
    url = make_database(postgres, f"decisions_to_erase_{database}")
    addresses = {"VALKEY_URL": f"valkey://127.0.0.1:{valkey_server.port}/{database}", "DECISIONS_URL": url}
    with (
        valkey.Valkey(port=valkey_server.port, password=valkey_server.password, db=database) as client,
        psycopg.connect(url, user="postgres", password=postgres.password, autocommit=True) as log,
    ):
        client.flushdb()
        client.hset(META_KEY, mapping=Stamp(written_to="2018-08-31").fields() | {RECONCILED: "1"})
        yield Stores(client, log, settings, addresses)


def from_the_lake(stores: Stores, number: int, customer: int, terminal: int, second: int = T - 60) -> None:
    """A payment that the scorer never saw: in its histories and in the index."""
    for key in (f"c:{customer}", f"t:{terminal}"):
        stores.client.append(key, b"" if stores.client.exists(key) else bytes(8))
        stores.client.append(key, struct.pack(">3q", second, number, (2**36 - 1) << 27 | 100))
    stores.client.sadd(DAYS_KEY, DAY)
    stores.client.hset(f"i:{DAY}", struct.pack(">q", number), struct.pack(">3q", terminal, second, 100))


def test_nothing_is_left_while_a_scorer_runs_and_recovery_brings_nothing_back(start: Start, stores: Stores) -> None:
    from_the_lake(stores, 1, GONE, SHARED)
    from_the_lake(stores, 2, STAYS, SHARED)
    scorer = start(**stores.addresses)
    for number in range(10, 40):
        scorer.score(number, (GONE, STAYS)[number % 2], SHARED + number % 3, 100, T + number)
    assert scorer.report((1, T + 100), (2, T + 100), (10, T + 100), (11, T + 100))["accepted"] == 4
    # Late payments, which have a key of their own.
    for number in range(40, 44):
        scorer.score(number, (GONE, STAYS)[number % 2], SHARED, 100, T - 3_600)
    before = stores.entries()
    mine = {1, *range(10, 44, 2)}
    assert {number for _, number in before} >= mine
    # At once: the last responses are in the outbox, and in the scorer's memory.
    said = stores.erase()
    assert said == {
        "decisions": 17, "fraud_reports": 2, "pending_backfill": 0, "history_entries": 18, "terminal_entries": 18,
        "index_entries": 1, "responses": 17, "outbox_entries": 0, "left": 0, "seconds": said["seconds"],
    }  # fmt: skip
    wait_for(stores.drained)
    left = {key for key in before if key[1] not in mine}
    assert stores.entries() == left
    assert not stores.client.exists(f"c:{GONE}", f"c:{GONE}:late")
    assert stores.rows("decisions") == set(range(11, 44, 2))
    assert stores.rows("fraud_reports") == {2, 11}
    assert "online store unavailable" not in scorer.log.read_text()
    stores.recover(scorer)
    assert stores.entries() == left
    assert stores.rows("decisions") == set(range(11, 44, 2))
    assert scorer.client.get("/v1/decisions/10").status_code == 404
    assert str(GONE) not in scorer.log.read_text()
    again = stores.erase()
    assert {name: again[name] for name in NOTHING} == dict.fromkeys(NOTHING, 0)
    assert again["seconds"] < 3, "nothing to wait for"
    # A new payment of theirs is one of a new customer.
    scorer.score(50, GONE, SHARED, 100, T + 1_000)
    assert scorer.features(50)["customer_tx_count_30d"] == 1


def test_what_waits_without_a_scorer_is_removed(start: Start, stores: Stores) -> None:
    scorer = start(**stores.addresses | {"DECISIONS_URL": NOWHERE})
    for number in (1, 2, 3, 4):
        scorer.score(number, (GONE, STAYS)[number % 2], SHARED, 100, T + number)
    ok(scorer.client.post("/v1/score/batch", json={"transactions": [body(5, STAYS, SHARED, 100, T)]}))
    scorer.report((2, T + 60), (1, T + 60))
    scorer.kill()
    client = stores.client
    # As a dead scorer left it: read, and not acknowledged.
    client.xreadgroup(outbox_relay.GROUP, "dead", {DECISIONS_KEY: ">"})
    client.xadd(outbox_relay.SET_ASIDE_KEY, {"decision": client.hget("p:1", "answer"), "reason": "why"})
    client.xadd(outbox_relay.SET_ASIDE_KEY, {"decision": client.hget("p:2", "answer"), "reason": "why"})
    client.xadd(outbox_relay.SET_ASIDE_KEY, {"decision": b"\xff", "reason": "why"})
    (reports,) = client.xrange(REPORTS_KEY)
    client.xadd(report_relay.SET_ASIDE_KEY, reports[1] | {b"reason": b"why"})
    client.xadd(report_relay.SET_ASIDE_KEY, {"reports": b"no list", "reason": "why"})
    # GONE has the even numbers: customers are (GONE, STAYS)[number % 2].
    said = stores.erase()
    assert (said["outbox_entries"], said["left"], said["responses"]) == (2 + 1 + 2, 0, 2)
    found = [orjson.loads(fields[b"decision"])["customer_id"] for _, fields in client.xrange(DECISIONS_KEY)]
    assert found == [STAYS] * 3
    assert client.xpending(DECISIONS_KEY, outbox_relay.GROUP)["pending"] == 3
    assert client.xlen(outbox_relay.SET_ASIDE_KEY) == 2
    for stream in (REPORTS_KEY, report_relay.SET_ASIDE_KEY):
        rows = [row for _, fields in client.xrange(stream) if fields[b"reports"] != b"no list"
                for row in orjson.loads(fields[b"reports"])]  # fmt: skip
        assert [row["transaction_id"] for row in rows] == [1], stream
    assert client.xlen(report_relay.SET_ASIDE_KEY) == 2
    scorer.settings |= stores.addresses
    scorer.start()
    wait_for(stores.drained)
    assert stores.rows("decisions") == {1, 3, 5}
    assert stores.rows("fraud_reports") == {1}


def test_claims_without_a_response_are_removed(stores: Stores) -> None:
    """As of a batch that was reserved, and of a scorer that was killed."""
    for number, customer in ((1, GONE), (2, STAYS)):
        stores.client.hset(payment_key(number), "body", struct.pack(">5q", number, customer, SHARED, 100, T))
    stores.client.set("p:other", "no hash")
    stores.client.delete("p:other")
    assert stores.erase()["responses"] == 1
    assert stores.client.exists("p:1", "p:2") == 1


def test_a_repeated_id_stays_the_other_customer_s(stores: Stores) -> None:
    """The index and the log have this id for another payment."""
    from_the_lake(stores, 5, STAYS, SHARED)
    stores.client.set(f"c:{GONE}", bytes(8) + struct.pack(">3q", T - 30, 5, 100))
    stores.log.execute("insert into serving.fraud_reports values (5, now(), 1, 1, to_timestamp(%s), 1)", [T - 60])
    said = stores.erase()
    assert (said["history_entries"], said["terminal_entries"], said["index_entries"]) == (1, 0, 0)
    assert stores.entries() == {(f"c:{STAYS}", 5), (f"t:{SHARED}", 5), (f"i:{DAY}", 5)}
    assert stores.rows("fraud_reports") == {5}


def test_pending_backfill_is_removed(stores: Stores) -> None:
    """A payment that was scored degraded, and is not in the online store yet."""
    values = "(%s, %s, 1, 9.5, now(), .5, 'review', '[]', '1', true, '{}', '3', 0, now())"
    for number, customer in ((1, GONE), (2, STAYS)):
        stores.log.execute(f"insert into serving.decisions values {values}".encode(), [number, customer])
        stores.log.execute("insert into serving.unapplied values (%s)", [number])
    said = stores.erase()
    assert (said["decisions"], said["pending_backfill"]) == (1, 1)
    assert (stores.rows("decisions"), stores.rows("unapplied")) == ({2}, {2})


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"DECISIONS_URL": NOWHERE}, "PostgreSQL is not responding"),
        ({"VALKEY_URL": "valkey://127.0.0.1:1/0"}, "check VALKEY_URL"),
        ({"SECRETS_DIR": "/nowhere"}, "the secrets folder /nowhere does not exist"),
    ],
)
def test_a_store_that_is_away_is_said_in_one_line(stores: Stores, changed: dict[str, str], words: str) -> None:
    done = stores.run(**changed)
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("customer", ["-1", "x", str(2**63), "٣"])
def test_what_is_no_customer_is_rejected(stores: Stores, customer: str) -> None:
    done = stores.run(f"{customer}")
    assert done.returncode == 2
    assert "customer" in done.stderr


def test_positions_are_packed_as_entries_begin() -> None:
    entry = struct.pack(">3q", T, 2**63 - 1, 100)
    assert pack_positions([(T, 2**63 - 1)]) == entry[:16]
