"""POST /v1/score: the answer, its repetition, and every rejection."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from contracts.features import FEATURES
from contracts.transaction import Transaction
from tests.serving.bundles import margin
from tests.serving.running import ScorerProcess, body

T = 1_535_500_000
BIG = 2**63 - 1
Fresh = Callable[[], int]


def test_an_answer_has_every_field(scorer: ScorerProcess, fresh: Fresh) -> None:
    number, customer, terminal = fresh(), fresh(), fresh()
    answer = scorer.score(number, customer, terminal, 6_000, T)
    assert list(answer) == ["transaction_id", "score", "decision", "reasons", "model_version", "degraded"]
    decision = scorer.client.get(f"/v1/decisions/{number}").json()
    assert decision.items() >= answer.items()
    assert list(decision["features"]) == list(FEATURES)
    assert decision["features"]["amount"] == 60.0
    assert decision["decided_at"].endswith("Z")
    assert answer["score"] == pytest.approx(1 / (1 + np.exp(-margin(decision["features"]))), abs=1e-12)
    assert (answer["decision"], answer["reasons"], answer["degraded"]) == ("approve", [], False)


def test_a_declined_payment_comes_with_its_reasons(scorer: ScorerProcess, fresh: Fresh) -> None:
    customer, terminal = fresh(), fresh()
    for n in range(6):
        answer = scorer.score(fresh(), customer, terminal, 85_320, T + n)
    assert answer["decision"] == "decline"
    assert [(reason["feature"], reason["contribution"]) for reason in answer["reasons"]] == [
        ("amount", pytest.approx(4.5)),
        ("customer_tx_count_1d", pytest.approx(1.5)),
    ]
    assert answer["reasons"][0]["text"] == "Amount 853.20, typically 61.00"
    assert answer["reasons"][0]["value"] == 853.2


def test_an_approval_is_explained_on_request_and_stays_the_same_answer(scorer: ScorerProcess, fresh: Fresh) -> None:
    payments = [(fresh(), fresh(), fresh(), 100, T) for _ in range(2)]
    customer = fresh()
    for n in range(5):
        scorer.score(fresh(), customer, fresh(), 100, T - 10 + n)
    payment = (fresh(), customer, fresh(), 100, T)
    plain = scorer.score(*payment)
    told = scorer.score(*payment, explain=True)
    assert told["reasons"][0]["feature"] == "customer_tx_count_1d"
    assert told["reasons"][0]["contribution"] == pytest.approx(1.5)
    assert {reason["feature"] for reason in told["reasons"]} == set(FEATURES)
    assert {reason["contribution"] for reason in told["reasons"][1:]} == {0.0}
    assert told | {"reasons": []} == plain == scorer.score(*payment)
    assert {reason["contribution"] for reason in scorer.score(*payments[0], explain=True)["reasons"]} == {0.0}


def test_a_known_id_gets_its_first_answer_and_counts_once(scorer: ScorerProcess, fresh: Fresh) -> None:
    payment = (fresh(), fresh(), fresh(), 4_200, T)
    first = scorer.score(*payment)
    later = scorer.score(fresh(), payment[1], payment[2], 100, T + 5)
    assert scorer.score(*payment) == first
    assert scorer.score(later["transaction_id"], payment[1], payment[2], 100, T + 5) == later
    number = fresh()
    scorer.score(number, payment[1], payment[2], 100, T + 6)
    assert scorer.features(number)["customer_tx_count_1d"] == 3


@pytest.mark.parametrize("field", ["customer_id", "terminal_id", "amount", "occurred_at"])
def test_a_known_id_with_another_payload_is_a_conflict(scorer: ScorerProcess, fresh: Fresh, field: str) -> None:
    first = body(fresh(), fresh(), fresh(), 4_200, T)
    other = body(first["transaction_id"], fresh(), fresh(), 4_201, T + 1)
    assert scorer.client.post("/v1/score", json=first).status_code == 200
    answer = scorer.client.post("/v1/score", json=first | {field: other[field]})
    assert answer.status_code == 409
    assert answer.json() == {"detail": f"transaction {first['transaction_id']} already exists with a different payload"}


def test_other_notations_of_the_same_instant_and_amount_are_no_conflict(scorer: ScorerProcess, fresh: Fresh) -> None:
    first = body(fresh(), fresh(), fresh(), 4_200, T)
    assert first["occurred_at"] == "2018-08-28T23:46:40+00:00"
    again = first | {"occurred_at": "2018-08-29T01:46:40.900+02:00", "amount": "42.00"}
    answers = [scorer.client.post("/v1/score", json=one).json() for one in (first, again)]
    assert answers[0] == answers[1]


def test_the_largest_ids(scorer: ScorerProcess) -> None:
    answer = scorer.client.post("/v1/score", json=body(BIG, BIG, BIG, 100_000_000, T))
    assert f'"transaction_id":{BIG}' in answer.text
    assert scorer.score(BIG - 1, BIG, BIG - 1, 100, T + 1)["transaction_id"] == BIG - 1
    assert scorer.features(BIG - 1)["customer_amount_mean_1d"] == pytest.approx(500_000.5)
    assert scorer.features(BIG)["customer_tx_count_30d"] == 1


GOOD = body(1, 2, 3, 100, T)
BAD: dict[str, tuple[Any, str]] = {
    "negative id": (GOOD | {"transaction_id": -1}, "transaction_id"),
    "id beyond int64": (GOOD | {"customer_id": 2**63}, "customer_id"),
    "id as text": (GOOD | {"terminal_id": "3"}, "terminal_id"),
    "id true": (GOOD | {"terminal_id": True}, "terminal_id"),
    "negative amount": (GOOD | {"amount": -0.01}, "amount"),
    "three decimals": (GOOD | {"amount": 1.005}, "amount"),
    "too much": (GOOD | {"amount": 1_000_000.01}, "amount"),
    **{
        f"amount as the text {text!r}": (GOOD | {"amount": text}, "amount")
        for text in ("1.000", "1_000", "1e3", " 5 ", "٣", "+5", "5.", "")
    },
    "no zone": (GOOD | {"occurred_at": "2018-08-29T00:00:00"}, "occurred_at"),
    "after the last instant in UTC": (GOOD | {"occurred_at": "9999-12-31T23:59:59-01:00"}, "occurred_at"),
    "before the first": (GOOD | {"occurred_at": "0001-01-01T00:00:00+14:00"}, "occurred_at"),
    "a number for a time": (GOOD | {"occurred_at": T}, "occurred_at"),
    "unknown field": (GOOD | {"colour": "red"}, "colour"),
    "missing field": ({"transaction_id": 1}, "customer_id"),
    "a list": ([GOOD], "body"),
    "nested": (GOOD | {"amount": {"of": [1]}}, "amount"),
}


@pytest.mark.parametrize("case", BAD)
def test_invalid_payments_are_rejected_by_field(scorer: ScorerProcess, case: str) -> None:
    sent, field = BAD[case]
    answer = scorer.client.post("/v1/score", json=sent)
    assert answer.status_code == 422
    assert field in [one["field"] for one in answer.json()["detail"]]
    assert all(one["loc"][0] == "body" and one["msg"] for one in answer.json()["detail"])


def test_the_openapi_document_describes_amounts_as_the_contract_does(scorer: ScorerProcess) -> None:
    described = scorer.client.get("/openapi.json").json()["components"]["schemas"]["Transaction"]
    assert (
        described["properties"]["amount"]["anyOf"] == Transaction.model_json_schema()["properties"]["amount"]["anyOf"]
    )


RAW = {
    "not a number": (b'{"amount": NaN}', 422),
    "infinite": (json.dumps(GOOD).replace("1.0", "Infinity").encode(), 422),
    "huge exponent": (json.dumps(GOOD).replace("1.0", "1e400").encode(), 422),
    "huge exponent as text": (json.dumps(GOOD).replace("1.0", '"1e999999999"').encode(), 422),
    "endless integer": (b'{"transaction_id": ' + b"9" * 10_000 + b"}", 400),
    "deeply nested": (b"[" * 50_000, 400),
    "half a surrogate pair": (b'{"\\ud800": 1}', 422),
    "invalid UTF-8": (b'{"transaction_id": "\xff\xfe"}', 400),
    "not JSON": (b"amount=1", 422),
    "nothing": (b"", 422),
}


@pytest.mark.parametrize("case", RAW)
def test_a_body_that_is_not_a_json_payment_is_rejected(scorer: ScorerProcess, case: str) -> None:
    sent, status = RAW[case]
    answer = scorer.client.post("/v1/score", content=sent, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]


@pytest.mark.parametrize("path", ["/v1/score/", "/v1/model/", "/readyz/", "/docs/"])
def test_no_path_redirects_to_the_host_of_the_request(scorer: ScorerProcess, path: str) -> None:
    answer = scorer.client.get(path, headers={"Host": "elsewhere.example"}, follow_redirects=False)
    assert answer.status_code == 400
    answer = scorer.client.get(path, headers={"Host": "localhost"}, follow_redirects=False)
    assert answer.status_code == 404
    assert "localhost" not in answer.text + str(answer.headers)


def test_another_content_type_is_told_what_to_send(scorer: ScorerProcess) -> None:
    answer = scorer.client.post("/v1/score", data={"amount": "1"})
    assert answer.status_code == 422
    assert "Content-Type: application/json" in answer.json()["detail"][0]["msg"]


def test_a_payment_in_the_future_is_rejected(scorer: ScorerProcess, fresh: Fresh) -> None:
    now = int(time.time())
    answer = scorer.client.post("/v1/score", json=body(fresh(), fresh(), fresh(), 100, now + 900))
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["field"] == "occurred_at"
    assert scorer.score(fresh(), fresh(), fresh(), 100, now + 60)["decision"]


def test_too_large_a_body_is_rejected_however_it_is_sent(scorer: ScorerProcess) -> None:
    large = b" " * (5 * 2**20)
    for path, most in (("/v1/score/batch", 4 * 2**20), ("/v1/fraud-reports", 4 * 2**20), ("/v1/score", 64 * 2**10)):
        for content in (large, (large[n : n + 65_536] for n in range(0, len(large), 65_536))):
            answer = scorer.client.post(path, content=content, headers={"Content-Type": "application/json"})
            assert answer.status_code == 413
            assert f"{most} bytes" in answer.json()["detail"]


def test_an_unknown_decision_is_not_found(scorer: ScorerProcess) -> None:
    assert scorer.client.get("/v1/decisions/987654321").status_code == 404
    for wrong in ("abc", "-1", str(2**63)):
        answer = scorer.client.get(f"/v1/decisions/{wrong}")
        assert (answer.status_code, answer.json()["detail"][0]["field"]) == (422, "transaction_id")


def test_other_paths_and_methods(scorer: ScorerProcess) -> None:
    assert scorer.client.get("/v1/nothing").status_code == 404
    assert scorer.client.get("/v1/score").status_code == 405
