"""Refuse requests without a right to what they ask, before their body is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.middleware.api_keys import Keyring, is_guarded, scope_of

HEADER: Final = "X-API-Key"


class Guard:
    """ASGI middleware: everything under /v1 asks for a key (401), its scope (403) and its rate (429)."""

    def __init__(self, app: ASGIApp, keyring: Keyring) -> None:
        self._app = app
        self._keyring = keyring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer it."""
        if scope["type"] == "http" and is_guarded(scope["path"]):
            refusal = await self._refusal(scope)
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _refusal(self, scope: Scope) -> JSONResponse | None:
        presented = Headers(scope=scope).get(HEADER)
        if not presented:
            return _refuse(401, f"send a key in the header {HEADER}", {"WWW-Authenticate": HEADER})
        key = self._keyring.find(presented.encode("latin-1"))
        if key is None:
            return _refuse(401, f"the key in the header {HEADER} is not known", {"WWW-Authenticate": HEADER})
        wanted = scope_of(scope["path"])
        if wanted is not None and wanted not in key.scopes:
            return _refuse(403, f"the key {key.name!r} has not the scope {wanted!r} that this asks for")
        if wait := await self._keyring.seconds_to_wait(key):
            return _refuse(429, f"the key {key.name!r} has used up its rate of {key.rate}", {"Retry-After": str(wait)})
        return None


def _refuse(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail}, status_code=status, headers=headers)
