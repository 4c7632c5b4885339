"""Routes that bound the work for a body: its structure is counted before it is parsed, and batches are validated in
slices. A single payment that is valid goes to its endpoint at once.

The endpoints, their OpenAPI document and their errors stay FastAPI's: it receives what is parsed, or a batch that is
validated already, as the body.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from email.message import Message
from typing import Any, ClassVar, Final, cast

from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, TypeAdapter

from serving.api.body_structure import LONGEST_NUMBER, Bounds, has_long_number
from serving.api.error_handlers import NOT_JSON
from serving.api.schemas import MAX_BATCH_SIZE
from serving.api.sliced_validation import SlicedValidator
from serving.fair_queuing import FairTurns
from serving.middleware.auth import charge_items
from serving.middleware.body_limit import ITEM_BYTES, SMALL_BYTES
from serving.middleware.request_context import first_value

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
TINY_BYTES: Final = 1_024
"""A body up to this is parsed at once: counting would cost more than it saves."""
ONE: Final = Bounds.of(1)
BATCH: Final = Bounds.of(MAX_BATCH_SIZE)


class PaymentRoute(APIRoute):
    """A route whose body is one payment, and whose endpoint takes it, `services`, and `explain` in the query.

    FastAPI's handler takes several times the CPU of the payment's validation, mostly to find the endpoint's arguments.
    So a valid payment without a query goes straight to the endpoint; everything else, and every error, is FastAPI's.
    """

    def get_route_handler(self) -> Handler:
        """The endpoint for a valid payment without a query, else FastAPI's handler; large bodies are counted first."""
        handle = super().get_route_handler()
        endpoint = self.endpoint
        assert self.body_field is not None
        name = self.body_field.name
        validate = TypeAdapter[Any](self.body_field.field_info.annotation).validate_python  # type: ignore[arg-type]

        async def bounded(request: Request) -> Response:
            body = await request.body()
            if len(body) > TINY_BYTES:
                _reject_excess(body, ONE, "one payment")
            if request.scope["query_string"] or not _is_json(request):
                return await handle(request)
            try:
                payment = validate(json.loads(body), from_attributes=True)
            except (ValueError, RecursionError):
                # FastAPI finds the error again, and says what is wrong.
                return await handle(request)
            return cast(Response, await endpoint(**{name: payment}, services=request.app.state.services))

        return bounded


class BatchRoute(APIRoute):
    """A route whose body is a batch. It is validated in slices, and its items count against the key's rate."""

    _one_large: ClassVar[FairTurns] = FairTurns(1)
    """Large batches are validated one after another: single payments wait for one slice, not for one of each."""

    def get_route_handler(self) -> Handler:
        """FastAPI's handler, which receives the validated batch."""
        handle = super().get_route_handler()
        assert self.body_field is not None
        validator = SlicedValidator[BaseModel](self.body_field.field_info.annotation, MAX_BATCH_SIZE)  # type: ignore[arg-type]

        async def bounded(request: Request) -> Response:
            body = await request.body()
            if len(body) <= SMALL_BYTES:
                await _read(request, body, validator)
            else:
                async with self._one_large:
                    await _read(request, body, validator)
            return await handle(request)

        return bounded


async def _read(request: Request, body: bytes, validator: SlicedValidator[BaseModel]) -> None:
    """Check a body, and set the request's JSON to the validated batch."""
    _reject_excess(body, BATCH, f"{MAX_BATCH_SIZE:,} {validator.name}")
    if body and _is_json(request):
        request._json = await _parse(request, body, validator)


async def _parse(request: Request, body: bytes, validator: SlicedValidator[BaseModel]) -> BaseModel:
    content = _loads(body)
    items = len(validator.items_of(content))
    await charge_items(request.scope, max(items, len(body) // ITEM_BYTES), validator.name)
    return await validator.validate(content)


def _loads(body: bytes) -> Any:
    """The parsed body. Raises what FastAPI raises: `RequestValidationError`, or `HTTPException` with status 400."""
    try:
        return json.loads(body)
    except json.JSONDecodeError as error:
        found = {"type": "json_invalid", "loc": ("body", error.pos), "msg": "JSON decode error"}
        raise RequestValidationError([found | {"ctx": {"error": error.msg}}]) from error
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, NOT_JSON) from error


def _reject_excess(body: bytes, bounds: Bounds, most: str) -> None:
    """Raise `HTTPException` for a body that would cost more than its bytes suggest."""
    if bounds.exceeded_by(body):
        raise HTTPException(
            413,
            f"the body has more fields and strings than {most} can have: send only the documented fields, in smaller "
            "batches",
        )
    if has_long_number(body):
        raise HTTPException(400, f"the body has more than {LONGEST_NUMBER} digits in a row: no field may be that long")


def _is_json(request: Request) -> bool:
    """Whether FastAPI would parse the body as JSON."""
    kind = first_value(request.scope["headers"], b"content-type")
    return kind == b"application/json" or _means_json(kind.decode("latin-1"))


def _means_json(content_type: str) -> bool:
    header = Message()
    header["content-type"] = content_type
    subtype = header.get_content_subtype()
    return header.get_content_maintype() == "application" and (subtype == "json" or subtype.endswith("+json"))
