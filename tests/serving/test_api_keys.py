"""API keys: authentication, scopes and rate limits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from serving.errors import SettingsError
from serving.middleware.api_keys import parse_keys
from tests.serving.running import KEYS, ScorerProcess, body, reports_body

T = 1_536_700_000
BATCH, REPORTS = "/v1/score/batch", "/v1/fraud-reports"
PROTECTED = {
    "/v1/score": ("POST", "score"),
    "/v1/score/batch": ("POST", "score"),
    "/v1/fraud-reports": ("POST", "report"),
    "/v1/decisions/1": ("GET", "read"),
    "/v1/model": ("GET", "read"),
    "/v1/model/card": ("GET", "read"),
}


def ask(scorer: ScorerProcess, method: str, path: str, key: str | None, **more: Any) -> Any:
    scorer.client.headers.pop("X-API-Key", None)
    try:
        headers = {"X-API-Key": key} if key else {}
        if "content" in more:
            headers["Content-Type"] = "application/json"
        return scorer.client.request(method, path, headers=headers, **more)
    finally:
        scorer.client.headers["X-API-Key"] = KEYS["all"]


@pytest.mark.parametrize("path", [*PROTECTED, "/v1/nothing", "/v1"])
@pytest.mark.parametrize("key", [None, "wrong", "key-al", "key-all2", "\u00e9"])
def test_everything_under_v1_requires_a_valid_key(scorer: ScorerProcess, path: str, key: str | None) -> None:
    method = PROTECTED.get(path, ("GET", ""))[0]
    answer = ask(scorer, method, path, key.encode("latin-1") if key else None)  # type: ignore[arg-type]
    assert answer.status_code == 401
    assert "X-API-Key" in answer.json()["detail"]
    assert answer.headers["WWW-Authenticate"]


def test_the_key_is_checked_before_the_body(scorer: ScorerProcess) -> None:
    answer = ask(scorer, "POST", "/v1/score", None, content=b"not JSON" * 2**20)
    assert answer.status_code == 401


@pytest.mark.parametrize("path", PROTECTED)
@pytest.mark.parametrize("scope", ["score", "report", "read"])
def test_a_key_is_limited_to_its_scopes(scorer: ScorerProcess, path: str, scope: str) -> None:
    method, wanted = PROTECTED[path]
    answer = ask(scorer, method, path, KEYS[scope])
    if scope == wanted:
        assert answer.status_code in (200, 404, 422)
    else:
        assert answer.status_code == 403
        assert f"'{wanted}'" in answer.json()["detail"]


@pytest.mark.parametrize("suffix", ["%0A", "%0a%0a", "/", "%20", "%00", ";x", "%2F"])
@pytest.mark.parametrize("path", PROTECTED)
def test_no_spelling_of_a_path_needs_less_than_its_scope(scorer: ScorerProcess, path: str, suffix: str) -> None:
    """The router ignores a line break at the end of a path."""
    method, wanted = PROTECTED[path]
    other = next(scope for scope in ("score", "report", "read") if scope != wanted)
    assert ask(scorer, method, path + suffix, KEYS[other]).status_code in (403, 404)
    assert ask(scorer, method, path + suffix, None).status_code == 401


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/docs", "/openapi.json", "/"])
def test_other_paths_need_no_key(scorer: ScorerProcess, path: str) -> None:
    assert ask(scorer, "GET", path, None).status_code == 200


def test_a_key_over_its_rate_is_told_to_wait(scorer: ScorerProcess) -> None:
    statuses = [ask(scorer, "GET", "/v1/model", KEYS["slow"]).status_code for _ in range(3)]
    assert statuses == [200, 200, 200]
    answer = ask(scorer, "GET", "/v1/model", KEYS["slow"])
    assert answer.status_code == 429
    assert 3_500 < int(answer.headers["Retry-After"]) <= 3_600
    assert "3/hour" in answer.json()["detail"]
    assert scorer.client.get("/v1/model").status_code == 200


def test_a_rate_counts_payments_and_reports_not_requests(scorer: ScorerProcess, fresh: Callable[[], int]) -> None:
    def send(path: str, count: int) -> Any:
        made = [body(fresh(), fresh(), fresh(), 100, T) for _ in range(count)]
        sent = {"transactions": made} if path == BATCH else reports_body(*((fresh(), T) for _ in range(count)))
        return ask(scorer, "POST", path, KEYS["batches"], json=sent)

    too_large = send(BATCH, 101)
    assert too_large.status_code == 429
    assert "101 transactions" in too_large.json()["detail"]
    assert "send at most 100 in one request" in too_large.json()["detail"]
    assert "Retry-After" not in too_large.headers, "waiting does not help"
    for path, name in ((BATCH, "transactions"), (REPORTS, "reports")):
        # Reading white space is work too.
        content = f'{{"{name}":[{" " * 150_000}]}}'.encode()
        refused = ask(scorer, "POST", path, KEYS["batches"], content=content)
        assert refused.status_code == 429
        assert f"counts as 146 {name}" in refused.json()["detail"]
        assert ask(scorer, "POST", path, KEYS["all"], content=content).status_code == 200
    # Each request counts its first payment: three so far.
    assert send(BATCH, 60).status_code == 200
    refused = send(REPORTS, 40)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "3600")
    assert "40 reports" in refused.json()["detail"]
    assert send(REPORTS, 30).status_code == 200
    one = ask(scorer, "POST", "/v1/score", KEYS["batches"], json=body(fresh(), fresh(), fresh(), 100, T))
    assert one.status_code == 200
    # Invalid payments count too: checking them is the work.
    assert ask(scorer, "POST", BATCH, KEYS["batches"], json={"transactions": [{}] * 4}).status_code == 422
    assert send(BATCH, 2).status_code == 429
    assert ask(scorer, "POST", "/v1/score", KEYS["batches"], json={}).status_code == 429


def test_responses_and_logs_leak_nothing(scorer: ScorerProcess) -> None:
    answer = ask(scorer, "POST", "/v1/score", "wrong", json=body(1, 2, 3, 100, 0))
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "server" not in answer.headers
    assert "wrong" not in answer.text
    for key in KEYS.values():
        assert key not in scorer.log.read_text()


DIGEST = hashlib.sha256(b"x").hexdigest()
GOOD = {"name": "x", "sha256": DIGEST, "scopes": ["read"], "rate": "5/second"}
WRONG = {
    "not JSON": ("[", "api_keys"),
    "no key": ("[]", "no key"),
    "a digest too short": (json.dumps([GOOD | {"sha256": "ab"}]), "0.sha256"),
    "an unknown scope": (json.dumps([GOOD | {"scopes": ["write"]}]), "0.scopes"),
    "an unknown field": (json.dumps([GOOD, GOOD | {"key": "x"}]), "1.key"),
    "no rate": (json.dumps([GOOD | {"rate": "often"}]), "write it as 100/second"),
}


@pytest.mark.parametrize("case", WRONG)
def test_an_invalid_list_of_keys_names_the_position(case: str) -> None:
    text, told = WRONG[case]
    with pytest.raises(SettingsError, match=told):
        parse_keys(text)


def test_a_valid_list_of_keys_is_accepted() -> None:
    (key,) = parse_keys(json.dumps([GOOD]))
    assert (key.name, list(key.scopes), key.rate) == ("x", ["read"], "5/second")


def test_every_response_has_a_request_id(scorer: ScorerProcess) -> None:
    given = scorer.client.get("/livez", headers={"X-Request-ID": "till-7_a.1"})
    assert given.headers["X-Request-ID"] == "till-7_a.1"
    made = {scorer.client.get(path).headers["X-Request-ID"] for path in ("/livez", "/livez", "/nowhere", "/v1/score")}
    assert len(made) == 4
    for bad in ("a b", "x" * 65, '"}{'):
        assert scorer.client.get("/livez", headers={"X-Request-ID": bad}).headers["X-Request-ID"] != bad
