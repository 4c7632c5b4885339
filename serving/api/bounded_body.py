"""Routes that bound the work for a body: its structure is counted before it is parsed, and batches are validated in
slices.

The endpoints, their OpenAPI document and their errors stay FastAPI's: it receives what is parsed, or a batch that is
validated already, as the body.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from email.message import Message
from typing import Any, ClassVar, Final

from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel

from serving.api.error_handlers import NOT_JSON
from serving.api.schemas import MAX_IN_A_BATCH
from serving.api.sliced_validation import SlicedValidator
from serving.api.structure import LONGEST_NUMBER, Bounds, has_long_number
from serving.fairness import FairTurns
from serving.middleware.auth import charge_items
from serving.middleware.body_limit import ITEM_BYTES, SMALL_BYTES

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
TINY_BYTES: Final = 1_024
"""A body up to this is parsed at once: counting would cost more than it saves."""
ONE: Final = Bounds.of(1)
BATCH: Final = Bounds.of(MAX_IN_A_BATCH)


class PaymentRoute(APIRoute):
    """A route whose body is one payment."""

    def get_route_handler(self) -> Handler:
        """FastAPI's handler, after the body's structure is counted."""
        handle = super().get_route_handler()

        async def bounded(request: Request) -> Response:
            body = await request.body()
            if len(body) > TINY_BYTES:
                _reject_excess(body, ONE, "one payment")
            return await handle(request)

        return bounded


class BatchRoute(APIRoute):
    """A route whose body is a batch. It is validated in slices, and its items count against the key's rate."""

    _one_large: ClassVar[FairTurns] = FairTurns(1)
    """Large batches are validated one after another: single payments wait for one slice, not for one of each."""

    def get_route_handler(self) -> Handler:
        """FastAPI's handler, which receives the validated batch."""
        handle = super().get_route_handler()
        assert self.body_field is not None
        validator = SlicedValidator[BaseModel](self.body_field.field_info.annotation, MAX_IN_A_BATCH)  # type: ignore[arg-type]

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
    _reject_excess(body, BATCH, f"{MAX_IN_A_BATCH:,} {validator.name}")
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
        raise HTTPException(413, f"the body has more fields and strings than {most} can have: send it in parts")
    if has_long_number(body):
        raise HTTPException(400, f"the body has more than {LONGEST_NUMBER} digits in a row: no field may be that long")


def _is_json(request: Request) -> bool:
    """Whether FastAPI would parse the body as JSON."""
    header = Message()
    header["content-type"] = request.headers.get("content-type", "")
    subtype = header.get_content_subtype()
    return header.get_content_maintype() == "application" and (subtype == "json" or subtype.endswith("+json"))
