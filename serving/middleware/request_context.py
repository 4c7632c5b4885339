"""Count and time every request, give it an id, and set the headers of every response."""

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


class RequestContextMiddleware:
    """The outermost ASGI middleware: it counts what callers receive."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and observe the response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0
        request_id = _request_id(scope)
        REQUEST.set(request_id)

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _set_headers(message, request_id)
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception:
            # An unexpected error ends here: it is logged with its trace and answered with 500.
            event("request failed", logging.ERROR, exc_info=True, path=scope["path"])
            if not status:
                await JSONResponse({"detail": "internal error"}, status_code=500)(scope, receive, watch)
        finally:
            route = _route(scope)
            self._metrics.requests.labels(route, status).inc()
            self._metrics.latency.labels(route).observe(time.perf_counter() - began)


def _request_id(scope: Scope) -> str:
    """The caller's id if it is safe to log, else a new one."""
    given = Headers(scope=scope).get(REQUEST_ID, "")
    return given if _GOOD_ID.fullmatch(given) else secrets.token_hex(8)


def _set_headers(message: Message, request_id: str) -> None:
    headers = MutableHeaders(scope=message)
    headers[REQUEST_ID] = request_id
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    headers.setdefault("Cache-Control", "no-store")


def _route(scope: Scope) -> str:
    """The route's pattern, so that ids do not become labels."""
    return str(getattr(scope.get("route"), "path", "none"))
