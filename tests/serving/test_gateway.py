"""The order of the checks before an endpoint, and what every response gets."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any, cast

import pytest

from serving.middleware.allowed_hosts import AllowedHosts
from serving.middleware.api_keys import ApiKey, ApiKeys
from serving.middleware.auth import Auth
from serving.middleware.body_limit import BodyLimit
from serving.middleware.gateway import GatewayMiddleware
from serving.middleware.rate_limits import RateCounter
from serving.observability.metrics import Metrics

MOST = 1_000
KEYS = [
    ApiKey(name=scope, sha256=hashlib.sha256(scope.encode()).hexdigest(), scopes=frozenset({scope}))
    for scope in ("score", "read")
]
ALWAYS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]
Headers = list[tuple[bytes, bytes]]
EVIL, LOCAL, SCORE, READ = (
    (b"host", b"evil"),
    (b"host", b"localhost"),
    (b"x-api-key", b"score"),
    (b"x-api-key", b"read"),
)
GZIP, ID = (b"content-encoding", b"gzip"), (b"x-request-id", b"mine-1")


class Endpoint:
    """Answers 200 with headers, or fails; keeps the body."""

    def __init__(self, headers: Headers | None = None, error: Exception | None = None) -> None:
        self.headers = headers or []
        self.error = error
        self.body: bytes | None = None

    async def __call__(self, _: Any, receive: Any, send: Any) -> None:
        self.body = (await receive())["body"]
        if self.error:
            raise self.error
        await send({"type": "http.response.start", "status": 200, "headers": self.headers})
        await send({"type": "http.response.body", "body": b""})


def ask(
    endpoint: Endpoint, headers: Headers, body: bytes = b"{}", path: str = "/v1/score"
) -> tuple[int, Headers, Metrics]:
    metrics, sent = Metrics(), list[Any]()
    auth = Auth(ApiKeys(KEYS, cast(RateCounter, None)))
    gateway = GatewayMiddleware(endpoint, metrics, AllowedHosts(("localhost",)), auth, BodyLimit(MOST))
    length = (b"content-length", str(len(body)).encode())
    scope = {"type": "http", "path": path, "headers": [*headers, length], "client": ("127.0.0.1", 1)}

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(gateway(scope, receive, send))
    return sent[0]["status"], sent[0]["headers"], metrics


@pytest.mark.parametrize(
    ("headers", "body", "path", "status"),
    [
        ([EVIL, GZIP], b"x" * (MOST + 1), "/v1/none", 400),
        ([LOCAL, EVIL, SCORE], b"{}", "/v1/score", 400),
        ([LOCAL, GZIP], b"x" * (MOST + 1), "/v1/none", 401),
        ([LOCAL, (b"x-api-key", b"")], b"{}", "/v1/score", 401),
        ([LOCAL, (b"x-api-key", b"none"), SCORE], b"{}", "/v1/score", 401),
        ([LOCAL, READ, GZIP], b"x" * (MOST + 1), "/v1/score", 403),
        ([LOCAL, READ, GZIP], b"x" * (MOST + 1), "/v1/none", 404),
        ([LOCAL, SCORE], b"x" * (MOST + 1), "/v1/score", 413),
        ([LOCAL, SCORE, GZIP], b"x", "/v1/score", 415),
        ([LOCAL, SCORE], b"\x1f\x8b", "/v1/score", 415),
        ([LOCAL, SCORE, (b"transfer-encoding", b"gzip")], b"x", "/v1/score", 501),
    ],
)
def test_the_first_check_that_fails_answers(headers: Headers, body: bytes, path: str, status: int) -> None:
    endpoint = Endpoint()
    answered, given, metrics = ask(endpoint, headers, body, path)
    assert answered == status
    assert endpoint.body is None
    assert [one for one in given if one in ALWAYS] == ALWAYS
    assert metrics.registry.get_sample_value("scorer_requests_total", {"route": "none", "status": str(status)}) == 1


def test_a_response_gets_the_id_and_the_headers_that_it_lacks() -> None:
    endpoint = Endpoint([(b"content-type", b"text/html"), (b"cache-control", b"max-age=60")])
    status, given, _ = ask(endpoint, [LOCAL, SCORE, ID, (b"x-request-id", b"other")], b'{"a": 1}')
    assert (status, endpoint.body) == (200, b'{"a": 1}')
    assert given == [*endpoint.headers, ID, *ALWAYS[:3]]


@pytest.mark.parametrize("unsafe", [b"", b"a" * 65, b"a b", b"a\n", "\u00e9".encode("latin-1")])
def test_an_id_that_is_not_safe_to_log_is_replaced(unsafe: bytes) -> None:
    _, given, _ = ask(Endpoint(), [LOCAL, SCORE, (b"x-request-id", unsafe)])
    (number,) = (value for name, value in given if name == b"x-request-id")
    assert number != unsafe
    assert len(number) == 16


def test_paths_without_a_key_get_no_body() -> None:
    endpoint = Endpoint()
    assert ask(endpoint, [LOCAL, GZIP], b"x" * (MOST + 1), "/livez")[0] == 200
    assert endpoint.body == b""


def test_an_unexpected_error_is_answered_and_counted() -> None:
    status, given, metrics = ask(Endpoint(error=RuntimeError("unexpected")), [LOCAL, SCORE])
    assert status == 500
    assert given[-4:] == ALWAYS
    assert metrics.registry.get_sample_value("scorer_requests_total", {"route": "none", "status": "500"}) == 1
    assert metrics.registry.get_sample_value("scorer_request_seconds_count", {"route": "none"}) == 1
