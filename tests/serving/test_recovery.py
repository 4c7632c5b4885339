"""Recovery after restarts and outages of Valkey and of the scorer: answers stay, nothing is left half-done."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
import valkey

from contracts.online_state import APPLIED_KEY, DECISIONS_KEY, FORMAT, IDS_KEY, META_KEY, Stamp
from demo.embedded_servers import Server, start_valkey
from serving.online_store.scripts import CLAIM
from serving.scoring.payment import Payment
from tests.serving.conftest import Start
from tests.serving.running import ScorerProcess, body, wait_for

T = 1_535_900_000
DAY = 86_400
Fresh = Callable[[], int]


@pytest.fixture(scope="module")
def own_valkey(tmp_path_factory: pytest.TempPathFactory, valkey_server: Any) -> Iterator[Server]:
    """A stamped Valkey that a test may stop."""
    folder = tmp_path_factory.mktemp("valkey")
    server = start_valkey(folder / "data", valkey_server.password, folder / "log")
    with connect(server) as client:
        client.hset(META_KEY, mapping=Stamp(written_to="2018-08-31").fields())
    yield server
    server.stop()


@pytest.fixture(scope="module")
def own_log(postgres: Any, make_database: Callable[[Any, str], str]) -> str:
    """A decision log for `own_valkey`: each online store has its own."""
    return make_database(postgres, "decisions_of_recovery")


@pytest.fixture(scope="module")
def own(start: Start, own_valkey: Server, own_log: str) -> ScorerProcess:
    """A scorer on `own_valkey` and `own_log`."""
    return start(VALKEY_URL=f"valkey://127.0.0.1:{own_valkey.port}/0", DECISIONS_URL=own_log)


def connect(server: Server) -> valkey.Valkey:
    return valkey.Valkey(port=server.port, password=server.password)


def restart(server: Server) -> None:
    again = start_valkey(server.log.parent / "data", server.password, server.log, server.port)
    server.process = again.process


def test_scripts_are_loaded_again_after_a_flush(own: ScorerProcess, own_valkey: Server, fresh: Fresh) -> None:
    with connect(own_valkey) as client:
        for ask in (lambda p: own.score(*p), lambda p: own.batch([p])):
            client.script_flush()
            ask((fresh(), fresh(), fresh(), 100, T))
        client.script_flush()
        assert own.report((1, T)) == {"accepted": 0, "unknown": [1]}


def test_a_restart_of_valkey_keeps_answers_and_histories(own: ScorerProcess, own_valkey: Server, fresh: Fresh) -> None:
    payment = (fresh(), fresh(), fresh(), 100, T)
    first = own.score(*payment)
    own_valkey.stop()
    restart(own_valkey)
    assert own.score(*payment) == first
    wait_for(lambda: ready(own))
    follower = (fresh(), payment[1], fresh(), 100, T + 1)
    own.score(*follower)
    assert own.features(follower[0])["customer_tx_count_1d"] == 2


def ready(scorer: ScorerProcess) -> bool:
    return scorer.client.get("/readyz").status_code == 200


def test_while_valkey_is_down_payments_are_scored_degraded_and_backfilled_later(
    own: ScorerProcess, own_valkey: Server, fresh: Fresh
) -> None:
    customer, terminal = fresh(), fresh()
    before = (fresh(), customer, terminal, 100, T)
    answered = own.score(*before)
    own_valkey.stop()
    alone, other, in_batch = ((fresh(), customer, terminal, 200 + n, T + 10 + n) for n in range(3))
    first = own.score(*alone)
    assert first["degraded"]
    assert own.features(alone[0])["customer_tx_count_1d"] == 1
    # Answers from before and during the outage stay, alone and in a batch.
    assert own.score(*before) == answered
    assert own.score(*alone) == first
    both = own.batch([alone, in_batch, before])
    assert (both[0], both[2]) == (first, answered)
    assert both[1]["degraded"]
    changed = own.client.post("/v1/score", json=body(*alone[:3], 201, alone[4]))
    assert changed.status_code == 409
    sent = {"transactions": [body(*other), body(*alone[:3], 201, alone[4])]}
    refused = own.client.post("/v1/score/batch", json=sent)
    assert (refused.status_code, "transactions.1" in refused.json()["detail"]) == (409, True)
    # If the log has no decision, only the online store could tell whether there is one.
    assert own.client.get(f"/v1/decisions/{other[0]}").status_code == 503
    readiness = own.client.get("/readyz")
    assert readiness.status_code == 503
    assert "scored without history" in readiness.json()["checks"]["online_state"]["detail"]
    assert own.client.get("/livez").status_code == 200
    restart(own_valkey)
    wait_for(lambda: ready(own))
    assert own.score(*alone) == first
    follower = (fresh(), customer, terminal, 100, T + 60)
    assert not own.score(*follower)["degraded"]
    assert own.features(follower[0])["customer_tx_count_1d"] == 4
    assert own.log.read_text().count('"online store unavailable"') >= 1


def test_an_unresponsive_valkey_trips_the_breaker_after_one_timeout(
    own: ScorerProcess, own_valkey: Server, fresh: Fresh
) -> None:
    os.kill(own_valkey.process.pid, signal.SIGSTOP)
    try:
        took = []
        for n in range(10):
            began = time.monotonic()
            assert own.score(fresh(), fresh(), fresh(), 100, T + n)["degraded"]
            took.append(time.monotonic() - began)
        assert sorted(took)[-2] < max(took) / 2
    finally:
        os.kill(own_valkey.process.pid, signal.SIGCONT)
    wait_for(lambda: ready(own))
    assert not own.score(fresh(), fresh(), fresh(), 100, T)["degraded"]


def test_the_last_second_that_valkey_lost_is_restored(
    own: ScorerProcess, own_valkey: Server, own_log: str, secrets: Path, fresh: Fresh
) -> None:
    customer, terminal = fresh(), fresh()
    own.score(fresh(), customer, terminal, 100, T)
    own_valkey.stop()
    restart(own_valkey)
    wait_for(lambda: ready(own))
    own.score(fresh(), customer, terminal, 200, T + 1)
    (file,) = own_valkey.log.parent.glob("data/appendonlydir/*.incr.aof")
    remembered = file.stat().st_size
    forgotten = [(fresh(), customer, terminal, 300 + n, T + 2 + n) for n in range(5)]
    answers = [own.score(*payment) for payment in forgotten]
    noticed = own.log.read_text().count('"online store unavailable"')
    own_valkey.process.kill()
    own_valkey.process.wait()
    os.truncate(file, remembered)
    restart(own_valkey)
    # Even a short outage is noticed.
    wait_for(lambda: own.log.read_text().count('"online store unavailable"') > noticed and ready(own))
    assert [own.score(*payment) for payment in forgotten] == answers
    follower = (fresh(), customer, terminal, 400, T + 60)
    own.score(*follower)
    assert own.features(follower[0])["customer_tx_count_1d"] == 8
    # No two decisions have the same number.
    ids = [number for number, *_ in [*forgotten, follower]]
    with psycopg.connect(own_log, user="scorer", password=(secrets / "decisions_password").read_text().strip()) as log:
        query = "select applied from serving.decisions where transaction_id = any(%s) order by transaction_id"
        wait_for(lambda: len(log.execute(query, [ids]).fetchall()) == len(ids))
        numbers = [number for (number,) in log.execute(query, [ids]).fetchall()]
    assert sorted(set(numbers)) == numbers


def test_a_restarted_scorer_restores_what_valkey_lost(
    own: ScorerProcess, own_valkey: Server, own_log: str, secrets: Path, fresh: Fresh
) -> None:
    customer, terminal = fresh(), fresh()
    own.score(fresh(), customer, terminal, 100, T)
    (file,) = own_valkey.log.parent.glob("data/appendonlydir/*.incr.aof")
    remembered = file.stat().st_size
    forgotten = [(fresh(), customer, terminal, 300 + n, T + 2 + n) for n in range(5)]
    answers = [own.score(*payment) for payment in forgotten]
    with psycopg.connect(own_log, user="scorer", password=(secrets / "decisions_password").read_text().strip()) as log:
        ids = [number for number, *_ in forgotten]
        query = "select count(*) from serving.decisions where transaction_id = any(%s)"
        wait_for(lambda: log.execute(query, [ids]).fetchall() == [(len(ids),)])
    own.kill()
    own_valkey.process.kill()
    own_valkey.process.wait()
    os.truncate(file, remembered)
    restart(own_valkey)
    own.start()
    assert [own.score(*payment) for payment in forgotten] == answers
    follower = (fresh(), customer, terminal, 400, T + 60)
    own.score(*follower)
    assert own.features(follower[0])["customer_tx_count_1d"] == 7


def test_after_a_loss_of_all_data_and_a_new_write_answers_and_histories_are_restored(
    own: ScorerProcess, own_valkey: Server, own_log: str, secrets: Path, fresh: Fresh
) -> None:
    customer, terminal = fresh(), fresh()
    payments = [(fresh(), customer, terminal, 85_000 + n, T + n) for n in range(3)]
    answers = [own.score(*payment) for payment in payments]
    with connect(own_valkey) as client:
        client.flushall()
        meanwhile = (fresh(), customer, terminal, 70_000, T + 10)
        alone = own.score(*meanwhile)
        assert alone["degraded"]
        assert [own.score(*payment) for payment in payments] == answers
        assert own.client.get("/readyz").status_code == 503
        client.hset(META_KEY, mapping=Stamp(written_to="2018-08-31").fields())
        wait_for(lambda: ready(own))
    assert [own.score(*payment) for payment in (*payments, meanwhile)] == [*answers, alone]
    follower = (fresh(), customer, terminal, 100, T + 60)
    assert not own.score(*follower)["degraded"]
    assert own.features(follower[0])["customer_tx_count_1d"] == 5
    password = (secrets / "decisions_password").read_text().strip()
    query = "select transaction_id, score from serving.decisions where customer_id = %s order by occurred_at"
    with psycopg.connect(own_log, user="scorer", password=password) as log:
        found = log.execute(query, [customer]).fetchall()
    assert found[:4] == [(answer["transaction_id"], answer["score"]) for answer in (*answers, alone)]


UNFIT = {
    "empty": ({}, "run write_online_state"),
    "another format": ({"state_format": str(FORMAT + 1)}, f"format {FORMAT + 1}"),
    "other features": ({"features_version": "0"}, "features version 0"),
    "another delay": ({"label_delay_days": "3"}, "label delay of 3 days"),
    "a shorter memory": ({"terminal_horizon_days": "30"}, "37 are needed"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_an_incompatible_store_is_not_used(own: ScorerProcess, own_valkey: Server, fresh: Fresh, case: str) -> None:
    changed, told = UNFIT[case]
    payment = body(fresh(), fresh(), fresh(), 100, T)
    stamp = Stamp(written_to="2018-08-31").fields()
    with connect(own_valkey) as client:
        before = client.get(APPLIED_KEY)
        client.delete(META_KEY)
        if changed:
            client.hset(META_KEY, mapping=stamp | changed)
        for path, sent in (("/v1/score", payment), ("/v1/score/batch", {"transactions": [payment]})):
            answer = own.client.post(path, json=sent)
            assert answer.status_code == 200
            assert '"degraded":true' in answer.text
        readiness = own.client.get("/readyz")
        assert readiness.status_code == 503
        assert told in readiness.json()["checks"]["online_state"]["detail"]
        assert not client.exists(f"p:{payment['transaction_id']}")
        assert client.get(APPLIED_KEY) == before
        client.hset(META_KEY, mapping=stamp)
    wait_for(lambda: ready(own))
    assert own.client.post("/v1/score", json=payment).json()["degraded"]


def test_a_payment_claimed_by_a_dead_scorer_is_still_answered(
    own: ScorerProcess, own_valkey: Server, fresh: Fresh
) -> None:
    payment = Payment(fresh(), fresh(), fresh(), 100, T)
    with connect(own_valkey) as client:
        kept_at = f"p:{payment.transaction_id}"
        keys = [APPLIED_KEY, META_KEY, IDS_KEY, kept_at, f"c:{payment.customer_id}", f"t:{payment.terminal_id}"]
        arguments = [2 * DAY, 0, payment.body, payment.customer_entry, payment.terminal_entry, 1]
        _, (claimed,), _ = cast(Any, client.eval(CLAIM.source, len(keys), *keys, *arguments))
        wait_for(lambda: client.xlen(DECISIONS_KEY) == 0)
        follower = (fresh(), payment.customer_id, fresh(), 100, T + 1)
        own.score(*follower)
        assert own.features(follower[0])["customer_tx_count_1d"] == 2
        own.kill()
        own.start()
        asked = (payment.transaction_id, payment.customer_id, payment.terminal_id, 100, T)
        answer = own.score(*asked)
        kept: Any = client.hget(kept_at, "answer")
        assert json.loads(kept)["applied"] == int(claimed[0])
        assert own.features(asked[0])["customer_tx_count_1d"] == 1
        assert own.score(*asked) == answer
        assert DAY < client.ttl(kept_at) <= 2 * DAY


def test_a_restarted_scorer_repeats_first_answers(own: ScorerProcess, fresh: Fresh) -> None:
    payments = [(fresh(), fresh(), fresh(), 90_000, T + n) for n in range(3)]
    first = own.batch(payments)
    assert first[0]["reasons"]
    assert own.stop() == 0
    own.start()
    assert own.batch(payments) == first
    assert [own.score(*payment) for payment in payments] == first
