"""The work for a body is bounded: no body keeps the event loop from other requests for long."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from serving.api import batch as batch_api
from serving.api import sliced_validation
from serving.api.body_structure import Bounds
from serving.api.error_handlers import RequestErrors
from serving.api.schemas import MAX_BATCH_SIZE, TransactionBatch
from serving.api.sliced_validation import SLICE, SlicedValidator
from serving.app import create_app, without_full_collections
from serving.settings import Settings
from tests.serving.running import KEYS, body

T = 1_536_600_000
JSON = {"Content-Type": "application/json"}
LONGEST_BLOCK = 0.05
"""Seconds of CPU time. Tests run on busy machines, so the limit is not the few milliseconds that it takes."""
PAYMENT = body(2**62, 2**62, 2**62, 99_999_999, T)


@pytest.fixture
def app(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """The scorer without its stores; it approves every payment."""

    async def score_batch(payments: list[Any], _: bool) -> list[dict[str, Any]]:
        return [{"transaction_id": payment.transaction_id} for payment in payments]

    async def take(reports: list[Any]) -> SimpleNamespace:
        return SimpleNamespace(accepted=len(reports), unknown=[])

    monkeypatch.setattr(batch_api, "answer_of", dict)
    made = create_app(Settings(secrets_dir=secrets))
    made.state.services = SimpleNamespace(
        clock=lambda: datetime.now(UTC),
        scorer=SimpleNamespace(score_batch=score_batch),
        reporter=SimpleNamespace(take=take),
    )
    return made


def post(app: FastAPI, path: str, content: bytes) -> tuple[httpx.Response, float]:
    """The response, and the longest time that the event loop was blocked meanwhile, in seconds of CPU time."""

    async def watch() -> None:
        nonlocal longest
        while True:
            before = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - before)

    async def ask() -> httpx.Response:
        watcher = asyncio.create_task(watch())
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=JSON) as client:
            # The application is built at the first request.
            await client.post(path, content=b"", headers={"X-API-Key": KEYS["all"]})
            nonlocal longest
            await asyncio.sleep(0)
            longest = 0.0
            response = await client.post(path, content=content, headers={"X-API-Key": KEYS["all"]})
        await asyncio.sleep(0)
        watcher.cancel()
        return response

    longest = 0.0
    with without_full_collections():
        return asyncio.run(ask()), longest


def fields(number: int) -> bytes:
    return b",".join(b'"%d":1' % n for n in range(number))


def transactions(*items: bytes) -> bytes:
    return b'{"transactions":[' + b",".join(items) + b"]}"


ONE = json.dumps(PAYMENT).encode()
WRONG = json.dumps({key: [] for key in PAYMENT}).encode()
BODIES = {
    "valid payments": (200, transactions(*[ONE] * MAX_BATCH_SIZE)),
    "payments wrong in every field": (422, transactions(*[WRONG] * MAX_BATCH_SIZE)),
    "empty payments": (422, transactions(*[b"{}"] * MAX_BATCH_SIZE)),
    "payments in the future": (422, transactions(*[ONE.replace(b'"2018', b'"2999')] * MAX_BATCH_SIZE)),
    "too many payments": (422, transactions(*[ONE] * (MAX_BATCH_SIZE + 1))),
    "far too many payments": (413, transactions(*[ONE] * 4 * MAX_BATCH_SIZE)),
    "a payment with many fields": (413, transactions(b"{" + fields(300_000) + b"}")),
    "a body with many fields": (413, b"{" + fields(300_000) + b"}"),
    "a payment with as many fields as a batch": (422, transactions(b"{" + fields(39_000) + b"}")),
    "a body with as many fields as a batch": (422, b"{" + fields(39_000) + b"}"),
    "payments with some unknown fields": (422, transactions(*[b"{" + fields(7) + b"}"] * MAX_BATCH_SIZE)),
    "one field many times": (413, transactions(b"{" + b",".join([b'"x":1'] * 400_000) + b"}")),
    "many lists": (413, transactions(*[b"[]"] * 1_000_000)),
    "deep lists": (400, b"[" * 4_000_000),
    "deep objects": (413, b'{"x":' * 800_000),
    "many long numbers": (400, transactions(*[b"9" * 4_299] * 900)),
    "one long number": (400, b"9" * 4_000_000),
    "a long fraction": (400, transactions(ONE.replace(b"999999.99", b"0." + b"1" * 4_000_000))),
    "a long amount": (422, transactions(ONE.replace(b"999999.99", b'"' + b"1_" * 2_000_000 + b'1"'))),
    "a long text": (422, transactions(b'"' + b"x" * 4_000_000 + b'"')),
    "a text of escapes": (422, transactions(b'"' + b"\\u00e9" * 650_000 + b'"')),
    "a long name": (422, transactions(b'{"' + b"x" * 4_000_000 + b'":1}')),
    "spaces": (422, b" " * 4_000_000),
}


@pytest.mark.parametrize("case", BODIES)
def test_no_batch_blocks_the_loop(app: FastAPI, case: str) -> None:
    status, content = BODIES[case]
    response, longest = post(app, "/v1/score/batch", content)
    assert response.status_code == status, response.text[:500]
    assert len(response.content) < 20_000 or status == 200
    assert longest < LONGEST_BLOCK


def test_reports_are_bounded_like_payments(app: FastAPI) -> None:
    report = b'{"transaction_id":1,"reported_at":"2018-09-04T10:15:00Z"}'
    for status, item in ((200, report), (422, b'{"transaction_id":[],"reported_at":[]}')):
        response, longest = post(app, "/v1/fraud-reports", b'{"reports":[' + b",".join([item] * 5_000) + b"]}")
        assert (response.status_code, longest < LONGEST_BLOCK) == (status, True), response.text[:500]
    response, _ = post(app, "/v1/fraud-reports", b'{"reports":[{' + fields(100_000) + b"}]}")
    assert response.status_code == 413


SINGLE = {
    "many fields": (413, b"{" + fields(500) + b"}"),
    "some fields": (422, b"{" + fields(50) + b"}"),
    "a long number": (400, ONE.replace(b"999999.99", b"1" * 4_000)),
    "a long amount": (422, ONE.replace(b"999999.99", b'"' + b"1_" * 30_000 + b'1"')),
    "spaces": (413, ONE + b" " * 70_000),
}


@pytest.mark.parametrize("case", SINGLE)
def test_no_single_payment_blocks_the_loop(app: FastAPI, case: str) -> None:
    status, content = SINGLE[case]
    response, longest = post(app, "/v1/score", content)
    assert response.status_code == status, response.text
    assert len(response.content) < 20_000
    assert longest < LONGEST_BLOCK / 2


def test_the_largest_valid_bodies_are_within_the_bounds() -> None:
    """In every way of writing a payment that the contract accepts, also with spaces and an amount as text."""
    long = dict.fromkeys(("transaction_id", "customer_id", "terminal_id"), 2**63 - 1)
    item = long | {"amount": "1000000.00", "occurred_at": "2018-09-04T10:15:00.123456+00:00:00"}
    for items in (1, MAX_BATCH_SIZE):
        content = json.dumps({"transactions": [item] * items}, indent=1).encode()
        assert not Bounds.of(items).exceeded_by(content)


VALID = st.fixed_dictionaries(
    {
        "transaction_id": st.integers(0, 2**63 - 1),
        "customer_id": st.integers(0, 9),
        "terminal_id": st.integers(0, 9),
        "amount": st.sampled_from([1, 2.5, "3.25"]),
        "occurred_at": st.sampled_from(["2018-09-04T10:15:00Z", "2018-09-04T10:15:00+02:00"]),
    }
)
ANY = st.sampled_from([None, True, -1, 2**63, "x", [], {}, 1.5, "2018-09-04", 0])
ITEM = VALID | st.dictionaries(st.sampled_from([*PAYMENT, "x", "y"]), ANY, max_size=7) | ANY
LIST = st.lists(ITEM, max_size=8) | ANY
CONTENT = st.fixed_dictionaries({}, optional={"transactions": LIST, "x": ANY, "y": ANY}) | LIST


VALIDATOR = SlicedValidator(TransactionBatch, MAX_BATCH_SIZE)


@given(CONTENT)
def test_slices_give_what_the_whole_gives(content: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sliced_validation, "SLICE", 3)
        patch.setattr(sliced_validation, "MAX_ERRORS", 1_000)
        assert validated_in_slices(content) == validated_at_once(content)


def validated_in_slices(content: Any) -> tuple[TransactionBatch | None, list[Any]]:
    try:
        return asyncio.run(VALIDATOR.validate(content)), []
    except RequestErrors as error:
        listed = [(one["loc"], one["type"], one["msg"]) for one in error.errors()]
        return None, listed if error.total == len(listed) else [error.total]


def validated_at_once(content: Any) -> tuple[TransactionBatch | None, list[Any]]:
    try:
        return TypeAdapter(TransactionBatch).validate_python(content, from_attributes=True), []
    except ValidationError as error:
        return None, [(("body", *one["loc"]), one["type"], one["msg"]) for one in error.errors()]


def test_of_too_many_items_only_their_number_is_reported() -> None:
    validator = SlicedValidator(TransactionBatch, 2)
    with pytest.raises(RequestErrors) as caught:
        asyncio.run(validator.validate({"transactions": [{}] * MAX_BATCH_SIZE + [{}]}))
    assert [one["type"] for one in caught.value.errors()] == ["too_long"]


MANY_FIELDS = dict.fromkeys(map(str, range(40)))


@pytest.mark.parametrize(
    ("content", "path"),
    [({"transactions": [{}, MANY_FIELDS]}, ("body", "transactions", 1)), (MANY_FIELDS, ("body",))],
)
def test_an_object_with_many_fields_is_one_error(content: Any, path: tuple[object, ...]) -> None:
    with pytest.raises(RequestValidationError) as caught:
        asyncio.run(VALIDATOR.validate(content))
    assert [(error["loc"], error["type"]) for error in caught.value.errors()] == [(path, "too_many_fields")]


def test_other_tasks_run_between_slices() -> None:
    async def scenario() -> int:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        await VALIDATOR.validate({"transactions": [PAYMENT] * 10 * SLICE})
        task.cancel()
        return turns

    assert asyncio.run(scenario()) >= 9


def test_the_scorer_excludes_its_code_from_garbage_collection(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def no_services(*_: object) -> AsyncIterator[SimpleNamespace]:
        yield SimpleNamespace(background=SimpleNamespace(start=lambda _, work: work.close()))

    async def frozen() -> int:
        async with app.router.lifespan_context(app):
            return gc.get_freeze_count()

    monkeypatch.setattr("serving.app.open_services", no_services)
    assert asyncio.run(frozen()) > 10_000
    assert not gc.get_freeze_count()
