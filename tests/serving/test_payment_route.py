"""A valid payment goes straight to its endpoint; every response is the one that FastAPI's own handler would give."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Response
from fastapi.routing import APIRoute
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contracts.transaction import Transaction
from serving.api.bounded_body import PaymentRoute
from serving.api.deps import Explain, ServicesDep, as_json, reject_future_instants
from serving.api.error_handlers import add_error_handlers
from serving.clock import machine_clock

GOOD: dict[str, Any] = {
    "transaction_id": 7,
    "customer_id": 1,
    "terminal_id": 2,
    "amount": 12.34,
    "occurred_at": "2018-09-04T10:15:00Z",
}
JSON = b"application/json"
Answer = tuple[int, list[tuple[bytes, bytes]], bytes]


def application(route_class: type[APIRoute]) -> FastAPI:
    router = APIRouter(route_class=route_class)

    @router.post("/score")
    async def score(transaction: Transaction, services: ServicesDep, explain: Explain = False) -> Response:
        reject_future_instants(services.clock(), [(("occurred_at",), transaction.occurred_at)])
        return as_json([transaction.model_dump(mode="json"), services.name, explain])

    app = FastAPI()
    app.router.routes.extend(router.routes)
    app.state.services = SimpleNamespace(name="the services", clock=machine_clock)
    add_error_handlers(app)
    return app


def ask(app: FastAPI, body: bytes, kind: bytes | None = JSON, query: bytes = b"") -> Answer:
    headers = [(b"content-length", str(len(body)).encode())] + ([(b"content-type", kind)] if kind is not None else [])
    scope = {"type": "http", "method": "POST", "path": "/score", "headers": headers, "query_string": query}
    messages: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        messages.append(message)

    asyncio.run(app(scope, receive, send))
    return messages[0]["status"], list(messages[0]["headers"]), b"".join(m["body"] for m in messages[1:])


@pytest.fixture(scope="module")
def same() -> Callable[..., Answer]:
    """The response, which is that of FastAPI's own handler too."""
    fast, plain = application(PaymentRoute), application(APIRoute)

    def check(body: bytes, kind: bytes | None = JSON, query: bytes = b"") -> Answer:
        answer = ask(fast, body, kind, query)
        assert answer == ask(plain, body, kind, query)
        return answer

    return check


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.sampled_from(["12.34", "1e3", 0.1, 1e6, 1000000.01, 12.345, 1.0, 2**63 - 1, 2**63]),
    st.sampled_from(["2018-09-04T10:15:00Z", "2018-09-04 10:15:00.5+02:00", "2999-01-01T00:00:00Z", "1600000000"]),
    st.sampled_from(["2018-09-04", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00"]),
)
BODIES = st.builds(
    lambda changed, dropped: {name: value for name, value in (GOOD | changed).items() if name not in dropped},
    st.dictionaries(st.sampled_from([*GOOD, "unknown"]), VALUES, max_size=2),
    st.sets(st.sampled_from([*GOOD]), max_size=1),
)


@settings(deadline=None, max_examples=200)
@given(body=BODIES | VALUES)
def test_any_body_is_answered_as_by_fastapi(same: Callable[..., Answer], body: Any) -> None:
    same(json.dumps(body).encode())


@settings(deadline=None, max_examples=50)
@given(at=st.integers(0, 150), byte=st.integers(0, 255))
@example(at=0, byte=0)
def test_a_corrupted_body_is_answered_as_by_fastapi(same: Callable[..., Answer], at: int, byte: int) -> None:
    body = bytearray(json.dumps(GOOD).encode())
    body[at % len(body)] = byte
    same(bytes(body))


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (JSON, 200),
        (b"application/json; charset=utf-8", 200),
        (b"Application/JSON", 200),
        (b"application/problem+json", 200),
        (b"text/plain", 422),
        (b"application/jsonp", 422),
        (b"", 422),
        (None, 422),
    ],
)
def test_content_types_mean_what_they_mean_to_fastapi(
    same: Callable[..., Answer], kind: bytes | None, status: int
) -> None:
    assert same(json.dumps(GOOD).encode(), kind)[0] == status


@pytest.mark.parametrize(
    ("query", "status"), [(b"explain=true", 200), (b"explain=7", 422), (b"other=1", 200), (b"explain=", 422)]
)
def test_queries_are_read_by_fastapi(same: Callable[..., Answer], query: bytes, status: int) -> None:
    found, _, body = same(json.dumps(GOOD).encode(), query=query)
    assert found == status
    if status == 200:
        assert json.loads(body)[1:] == ["the services", query == b"explain=true"]


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"{", b"\xff", b"NaN", b"[" * 1_000, b'{"amount": NaN}', b"9" * 65]
)
def test_what_is_no_payment_is_answered_as_by_fastapi(same: Callable[..., Answer], body: bytes) -> None:
    assert same(body)[0] in (400, 422)


def test_only_what_is_not_simply_valid_costs_fastapis_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bytes] = []
    original = APIRoute.get_route_handler

    def counting(self: APIRoute) -> Any:
        handle = original(self)

        async def counted(request: Any) -> Response:
            calls.append(await request.body())
            return await handle(request)

        return counted

    monkeypatch.setattr(APIRoute, "get_route_handler", counting)
    app = application(PaymentRoute)
    assert ask(app, json.dumps(GOOD).encode())[0] == 200
    assert calls == []
    assert ask(app, b"{}")[0] == 422
    assert calls == [b"{}"]
