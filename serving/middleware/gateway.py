"""Everything between the HTTP server and the endpoints, in one pass over a request and its response."""

from __future__ import annotations

import logging
import time

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.middleware.allowed_hosts import AllowedHosts
from serving.middleware.auth import Auth
from serving.middleware.body_limit import NO_BODY, BodyLimit
from serving.middleware.rejections import Rejected
from serving.middleware.request_context import request_id_of, route_of, set_headers
from serving.observability.logging import REQUEST, event
from serving.observability.metrics import Metrics


class GatewayMiddleware:
    """The outermost ASGI middleware: it counts what callers receive.

    It gives the request an id, checks the host (400), the API key (401, 403, 429; 404 for an unknown path under /v1)
    and the body (413, 415, 501, 503), passes the request on with its whole body, sets the response's headers, answers
    an unexpected error with 500, and counts and times the response.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, hosts: AllowedHosts, auth: Auth, bodies: BodyLimit) -> None:
        self._app = app
        self._metrics = metrics
        self._hosts = hosts
        self._auth = auth
        self._bodies = bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or reject it, and observe the response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0
        request_id = request_id_of(scope)
        REQUEST.set(request_id)

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                set_headers(message, request_id)
            await send(message)

        try:
            await self._answer(scope, receive, watch)
        except Exception:
            # An unexpected error ends here: it is logged with its trace and answered with 500.
            event("request failed", logging.ERROR, exc_info=True, path=scope["path"])
            if not status:
                await JSONResponse({"detail": "internal error"}, status_code=500)(scope, receive, watch)
        finally:
            self._metrics.observe_request(route_of(scope), status, time.perf_counter() - began)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        counted: list[int] = []
        try:
            self._hosts.check(scope)
            first: Message = NO_BODY
            # Paths that need no key use no body, so theirs is not read.
            if await self._auth.check(scope):
                first = await self._bodies.read(scope, receive, counted)
            if first["type"] != "http.disconnect":
                await self._app(scope, _replaying(first, receive), send)
        except Rejected as error:
            await JSONResponse({"detail": error.detail}, error.status, error.headers)(scope, receive, send)
        finally:
            # Until the response: a batch may wait for its turn, and is in memory meanwhile.
            self._bodies.release(counted)


def _replaying(first: Message, receive: Receive) -> Receive:
    """`receive` with a message that was received already."""
    waiting = [first]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay
