"""Valkey restarted or away, scripts forgotten, the scorer killed or restarted: answers stay, nothing is half-done."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
import valkey

from contracts.online_state import APPLIED_KEY, DECISIONS_KEY, FORMAT, META_KEY, Stamp
from demo.servers import Server, start_valkey
from serving.payment import Payment
from serving.scripts import CLAIM
from tests.serving.conftest import Start
from tests.serving.running import ScorerProcess, body, wait_for

T = 1_535_900_000
Fresh = Callable[[], int]


@pytest.fixture(scope="module")
def own_valkey(tmp_path_factory: pytest.TempPathFactory, valkey_server: Any) -> Iterator[Server]:
    """A Valkey that may be stopped, stamped."""
    folder = tmp_path_factory.mktemp("valkey")
    server = start_valkey(folder / "data", valkey_server.password, folder / "log")
    with connect(server) as client:
        client.hset(META_KEY, mapping=Stamp(written_to="2018-08-31").fields())
    yield server
    server.stop()


@pytest.fixture(scope="module")
def own(start: Start, own_valkey: Server) -> ScorerProcess:
    """A scorer on it."""
    return start(VALKEY_URL=f"valkey://127.0.0.1:{own_valkey.port}/0")


def connect(server: Server) -> valkey.Valkey:
    return valkey.Valkey(port=server.port, password=server.password)


def restart(server: Server) -> None:
    again = start_valkey(server.log.parent / "data", server.password, server.log, server.port)
    server.process = again.process


def test_forgotten_scripts_are_sent_again(own: ScorerProcess, own_valkey: Server, fresh: Fresh) -> None:
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
    follower = (fresh(), payment[1], fresh(), 100, T + 1)
    own.score(*follower)
    assert own.features(follower[0])["customer_tx_count_1d"] == 2


def test_while_valkey_is_away_the_scorer_says_so_and_recovers(
    own: ScorerProcess, own_valkey: Server, fresh: Fresh
) -> None:
    payment = body(fresh(), fresh(), fresh(), 100, T)
    own_valkey.stop()
    for path, sent in (("/v1/score", payment), ("/v1/score/batch", {"transactions": [payment]})):
        answer = own.client.post(path, json=sent)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert "Valkey" in answer.json()["detail"]
    readiness = own.client.get("/readyz")
    assert readiness.status_code == 503
    assert not readiness.json()["checks"]["online_state"]["ok"]
    assert own.client.get("/livez").status_code == 200
    restart(own_valkey)
    wait_for(lambda: own.client.get("/readyz").status_code == 200)
    assert own.client.post("/v1/score", json=payment).status_code == 200


UNFIT = {
    "empty": ({}, "run write_online_state"),
    "another format": ({"state_format": str(FORMAT + 1)}, f"format {FORMAT + 1}"),
    "other features": ({"features_version": "0"}, "features version 0"),
    "another delay": ({"label_delay_days": "3"}, "label delay of 3 days"),
    "a shorter memory": ({"terminal_horizon_days": "30"}, "37 are needed"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_a_state_that_does_not_fit_is_not_used(own: ScorerProcess, own_valkey: Server, fresh: Fresh, case: str) -> None:
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
            assert answer.status_code == 503
            assert told in answer.json()["detail"]
        readiness = own.client.get("/readyz")
        assert readiness.status_code == 503
        assert told in readiness.json()["checks"]["online_state"]["detail"]
        assert not client.exists(f"p:{payment['transaction_id']}")
        assert client.get(APPLIED_KEY) == before
        client.hset(META_KEY, mapping=stamp)
    assert own.client.post("/v1/score", json=payment).status_code == 200


def test_a_payment_claimed_by_a_scorer_that_died_is_answered_as_if_it_had_not(
    own: ScorerProcess, own_valkey: Server, fresh: Fresh
) -> None:
    payment = Payment(fresh(), fresh(), fresh(), 100, T)
    with connect(own_valkey) as client:
        kept_at = f"p:{payment.transaction_id}"
        keys = [APPLIED_KEY, META_KEY, kept_at, f"c:{payment.customer_id}", f"t:{payment.terminal_id}"]
        arguments = [payment.body, payment.customer_entry, payment.terminal_entry]
        (claimed,) = cast(Any, client.eval(CLAIM.source, len(keys), *keys, *arguments))
        wait_for(lambda: client.xlen(DECISIONS_KEY) == 0)
        follower = (fresh(), payment.customer_id, fresh(), 100, T + 1)
        own.score(*follower)
        assert own.features(follower[0])["customer_tx_count_1d"] == 2
        own.kill()
        own.start()
        asked = (payment.transaction_id, payment.customer_id, payment.terminal_id, 100, T)
        answer = own.score(*asked)
        kept: Any = client.hget(kept_at, "answer")
        assert json.loads(kept)["applied"] == int(claimed[1])
        assert own.features(asked[0])["customer_tx_count_1d"] == 1
        assert own.score(*asked) == answer
        assert 37 * 86_400 < client.ttl(kept_at) <= 38 * 86_400


def test_a_restarted_scorer_repeats_first_answers(own: ScorerProcess, fresh: Fresh) -> None:
    payments = [(fresh(), fresh(), fresh(), 90_000, T + n) for n in range(3)]
    first = own.batch(payments)
    assert first[0]["reasons"]
    assert own.stop() == 0
    own.start()
    assert own.batch(payments) == first
    assert [own.score(*payment) for payment in payments] == first
