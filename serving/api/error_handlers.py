"""Error responses: a status, and what the caller must change."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import psycopg
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from valkey.exceptions import ValkeyError

from contracts.addresses import redact
from serving.api.schemas import Problem
from serving.errors import IdempotencyConflictError, NotReadyError, RateExceededError
from serving.observability.counted_event import CountedEvent

Handler = Callable[[Request, Exception], Awaitable[Response]]
MAX_ERRORS: Final = 50
LONGEST_NAME: Final = 80
RETRY: Final = {"Retry-After": "1"}
UNEXPLAINED: Final = "There was an error parsing the body"
NOT_JSON: Final = (
    "the body cannot be parsed as JSON: it must be UTF-8, not too deeply nested, and contain no very long numbers"
)


class RequestErrors(RequestValidationError):
    """More errors than are listed: `total` counts all."""

    def __init__(self, listed: Sequence[Any], total: int) -> None:
        super().__init__(listed)
        self.total = total


Documented = dict[int | str, dict[str, Any]]
COMMON: Final[Documented] = {
    401: {"model": Problem, "description": "No valid API key"},
    403: {"model": Problem, "description": "The key lacks the required scope"},
    414: {"model": Problem, "description": "The URL or its query is too long"},
    429: {"model": Problem, "description": "The key has exceeded its rate limit"},
    431: {"model": Problem, "description": "The headers are too large or too many"},
    503: {"model": Problem, "description": "Not ready, or a store is not responding: retry"},
}
CONFLICT: Final[Documented] = {409: {"model": Problem, "description": "The id already exists with a different payload"}}
BODY: Final[Documented] = {400: {"model": Problem, "description": "The body cannot be parsed as JSON"}}
UNREADABLE: Final[Documented] = {415: {"model": Problem, "description": "The body is compressed, or not UTF-8"}}
TOO_LARGE: Final[Documented] = {413: {"model": Problem, "description": "The body is too large"}}
NOT_FOUND: Final[Documented] = {404: {"model": Problem, "description": "Not found"}}


def add_error_handlers(app: FastAPI) -> None:
    """Register a handler for each kind of error."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(IdempotencyConflictError, _conflict)
    app.add_exception_handler(NotReadyError, _not_ready)
    app.add_exception_handler(RateExceededError, _rate_exceeded)
    app.add_exception_handler(ValkeyError, _unavailable("the online store (Valkey) is not responding"))
    app.add_exception_handler(psycopg.Error, _unavailable("the decision log (PostgreSQL) is not responding"))


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    # FastAPI's own message for a body that Python's parser rejects.
    detail = NOT_JSON if error.detail == UNEXPLAINED else str(error.detail)
    return _problem(error.status_code, detail, error.headers)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    is_json = "json" in request.headers.get("content-type", "")
    errors = error.errors()
    detail = [_readable(one, is_json) for one in errors[:MAX_ERRORS]]
    total = error.total if isinstance(error, RequestErrors) else len(errors)
    return _json(422, {"detail": detail, "errors": total})


def _readable(error: Mapping[str, Any], is_json: bool) -> dict[str, Any]:
    """One of pydantic's errors, without its input, which JSON may not be able to represent."""
    path = [part[:LONGEST_NAME] if isinstance(part, str) else part for part in error["loc"]]
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "json_invalid":
        return _error("body", ["body"], f"not JSON: {error['ctx']['error']} at character {path[-1]}", error["type"])
    if len(path) == 1 and path[0] == "body" and not is_json:
        message = "must be JSON, sent as Content-Type: application/json"
    return _error(_field(path), path, message, error["type"])


def _error(field: str, path: Sequence[str | int], message: str, kind: str) -> dict[str, Any]:
    return {"loc": list(path), "field": field, "msg": message, "type": kind}


def _field(path: Sequence[str | int]) -> str:
    """`transactions.3.amount` for ("body", "transactions", 3, "amount")."""
    return ".".join(map(str, path[1:])) or str(path[0])


async def _conflict(_: Request, error: Exception) -> Response:
    return _problem(409, str(error))


async def _not_ready(_: Request, error: Exception) -> Response:
    return _problem(503, redact(str(error)), RETRY)


async def _rate_exceeded(_: Request, error: Exception) -> Response:
    assert isinstance(error, RateExceededError)
    return _problem(429, str(error), error.headers)


def _unavailable(what: str) -> Handler:
    """A handler for the errors of a store, which many requests meet at the same time."""
    log = CountedEvent("request failed: store unavailable")

    async def handle(request: Request, error: Exception) -> Response:
        log.add(path=request.scope["path"][:LONGEST_NAME], reason=f"{what}: {error!r}")
        return _problem(503, f"{what}: retry", RETRY)

    return handle


def _problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    return _json(status, {"detail": detail}, headers)


def _json(status: int, content: object, headers: Mapping[str, str] | None = None) -> Response:
    return Response(json.dumps(content), status, headers, media_type="application/json")
