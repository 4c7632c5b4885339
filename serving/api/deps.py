"""Shared by endpoints: the services, JSON responses, and the check for instants in the future."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Final, cast

import orjson
from fastapi import Depends, Query, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.security import APIKeyHeader

from contracts.transaction import MAX_CLOCK_SKEW
from serving.middleware.auth import HEADER
from serving.observability.readiness import Readiness, check_readiness
from serving.observability.shared_check import SharedCheck
from serving.services import Services

FieldPath = tuple[str | int, ...]

documented_key = Security(APIKeyHeader(name=HEADER, auto_error=False))
"""Documents the header; the middleware checks it."""


async def _services(request: Request) -> Services:
    # Async although it awaits nothing: FastAPI runs a plain function in a thread.
    return cast(Services, request.app.state.services)


async def _readiness(request: Request) -> Readiness:
    state = request.app.state
    if not hasattr(state, "readiness"):
        state.readiness = SharedCheck(lambda: check_readiness(state.services))
    return await cast(SharedCheck[Readiness], state.readiness).result()


ServicesDep = Annotated[Services, Depends(_services)]
ReadinessDep = Annotated[Readiness, Depends(_readiness)]
EXPLAIN: Final = (
    "Return every feature's contribution, whatever the decision, if the model that decided is still in use; together "
    "with its reference_log_odds they add up to the log-odds of the score"
)
Explain = Annotated[bool, Query(description=EXPLAIN)]


def as_json(content: Any) -> Response:
    """A response of plain values, sent without validation, which would cost more than computing it."""
    return Response(orjson.dumps(content), media_type="application/json")


def reject_future_instants(now: datetime, instants: Iterable[tuple[FieldPath, datetime]]) -> None:
    """Reject instants too far ahead of the clock. Raises `RequestValidationError`, naming each one's path."""
    latest = now + MAX_CLOCK_SKEW
    minutes = MAX_CLOCK_SKEW.total_seconds() / 60
    errors = [
        {"type": "future", "loc": ("body", *path), "msg": f"must not be more than {minutes:.0f} minutes in the future"}
        for path, instant in instants
        if instant > latest
    ]
    if errors:
        raise RequestValidationError(errors)
