"""Count, time and name every request, and set the headers that every answer has."""

from __future__ import annotations

import logging
import re
import secrets
import time
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.observability.logging import REQUEST, event
from serving.observability.metrics import Metrics

REQUEST_ID: Final = "X-Request-ID"
_GOOD_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
HEADERS = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer"}


class Telemetry:
    """ASGI middleware, the outermost: what it counts is what the caller got."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and watch the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0
        number = _request_id(scope)
        REQUEST.set(number)

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _set_headers(message, number)
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception:
            # The outermost: what nobody foresaw is logged whole and answered with 500; nobody is left to raise it to.
            event("request failed", logging.ERROR, exc_info=True, path=scope["path"])
            if not status:
                await JSONResponse({"detail": "internal error"}, status_code=500)(scope, receive, watch)
        finally:
            route = _route(scope)
            self._metrics.requests.labels(route, status).inc()
            self._metrics.latency.labels(route).observe(time.perf_counter() - began)


def _request_id(scope: Scope) -> str:
    """The caller's own id, where it is one that can stand in a log; else a new one."""
    given = Headers(scope=scope).get(REQUEST_ID, "")
    return given if _GOOD_ID.fullmatch(given) else secrets.token_hex(8)


def _set_headers(message: Message, number: str) -> None:
    headers = MutableHeaders(scope=message)
    headers[REQUEST_ID] = number
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    headers.setdefault("Cache-Control", "no-store")


def _route(scope: Scope) -> str:
    """The route's pattern, so that ids do not become labels."""
    return str(getattr(scope.get("route"), "path", "none"))
