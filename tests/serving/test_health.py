"""Metrics, health endpoints, the status page, the documentation and the log."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from contracts.features import FEATURES_VERSION
from tests.serving.running import ScorerProcess

T = 1_536_000_000
Fresh = Callable[[], int]


def value(scorer: ScorerProcess, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", scorer.client.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_ready_and_alive(scorer: ScorerProcess) -> None:
    readiness = scorer.client.get("/readyz").json()
    assert readiness["ready"]
    assert not readiness["degraded"]
    assert {name: check["ok"] for name, check in readiness["checks"].items()} == {
        "online_state": True, "model": True, "decision_log": True, "capacity": True,
    }  # fmt: skip
    assert scorer.client.get("/livez").json() == {"alive": True, "dead_tasks": []}


def test_metrics_count_requests_and_decisions(scorer: ScorerProcess, fresh: Fresh) -> None:
    names = [
        'scorer_requests_total{route="/v1/score",status="200"}',
        'scorer_request_seconds_count{route="/v1/score"}',
        'scorer_decisions_total{decision="approve"}',
        'scorer_decisions_total{decision="review"}',
        "scorer_repeated_total",
        "scorer_late_total",
        "scorer_degraded_total",
        'scorer_requests_total{route="/v1/decisions/{transaction_id}",status="404"}',
        'scorer_requests_total{route="none",status="404"}',
    ]
    before = [value(scorer, name) for name in names]
    customer = fresh()
    payments = [(fresh(), customer, fresh(), 100, T), (fresh(), customer, fresh(), 60_000, T - 5)]
    for payment in (*payments, payments[0]):
        scorer.score(*payment)
    scorer.client.get("/v1/decisions/77")
    scorer.client.get("/wp-login.php")
    after = [value(scorer, name) for name in names]
    assert [b - a for a, b in zip(before, after, strict=True)] == [3, 3, 1, 1, 1, 1, 0, 1, 1]
    assert value(scorer, f'scorer_model_info{{features_version="{FEATURES_VERSION}",version="1"}}') == 1


def test_the_page_loads_nothing_from_other_hosts(scorer: ScorerProcess) -> None:
    answer = scorer.client.get("/")
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "//" not in answer.text
    for told in ("ready", "version 1", 'href="docs"', 'href="metrics"'):
        assert told in answer.text


def test_the_documentation_names_the_contract_and_every_status(scorer: ScorerProcess) -> None:
    described = scorer.client.get("/openapi.json").json()
    score = described["paths"]["/v1/score"]["post"]
    assert set(score["responses"]) >= {"200", "401", "403", "409", "413", "422", "429", "503"}
    schema = score["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    assert schema.rpartition("/")[2] == "Transaction"
    assert described["components"]["securitySchemes"]["APIKeyHeader"]["name"] == "X-API-Key"


def test_every_line_of_the_log_is_json(scorer: ScorerProcess) -> None:
    lines = [json.loads(line) for line in scorer.log.read_text().splitlines()]
    assert all({"at", "level", "event"} <= line.keys() for line in lines)
    assert [line["version"] for line in lines if line["event"] == "champion loaded"] == ["1"]
    assert not [line for line in lines if "/v1/score" in str(line)]
