"""Reject a request body that is too large, with or without a Content-Length.

FastAPI's own limit answers in plain text; every error of the scorer is JSON (docs/decisions/0023-body-limit.md).
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimitMiddleware:
    """ASGI middleware: 413 for a body above `max_bytes`; the application receives the body as one message."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its whole body, or reject it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        first = await self._read(scope, receive)
        if first is None:
            detail = f"the body is larger than {self._max_bytes} bytes: send it in parts"
            await JSONResponse({"detail": detail}, status_code=413)(scope, receive, send)
            return
        waiting = [first]

        async def replay() -> Message:
            return waiting.pop() if waiting else await receive()

        await self._app(scope, replay, send)

    async def _read(self, scope: Scope, receive: Receive) -> Message | None:
        """The whole body as one message, None if it is too large; a disconnect message unchanged."""
        if _declared(scope) > self._max_bytes:
            return None
        pieces, size = [], 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return message
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if size > self._max_bytes:
                return None
            if not message.get("more_body", False):
                return {"type": "http.request", "body": b"".join(pieces), "more_body": False}


def _declared(scope: Scope) -> int:
    length = Headers(scope=scope).get("content-length", "")
    return int(length) if length.isdecimal() else 0
