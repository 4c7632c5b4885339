"""Authenticate and authorise requests before their body is read, and count them against their key's rate."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.errors import RateExceededError
from serving.fairness import CALLER
from serving.middleware.api_keys import ApiKeys, is_protected, scope_of
from serving.middleware.http_limits import KEY_ACCEPTED

HEADER: Final = "X-API-Key"
CHARGE: Final = "serving.charge"
"""The entry of a request's ASGI scope that counts the rest of a batch."""
CHARGED: Final = "serving.charged"
"""The entry with the number of items that are counted already."""
MOST_ITEMS: Final = "serving.most_items"
"""The entry with the number of items that the key's rate allows at a time; none if the key has no rate."""


class AuthMiddleware:
    """ASGI middleware: everything under /v1 needs a key (401) with the scope (403), within its rate limit (429)."""

    def __init__(self, app: ASGIApp, api_keys: ApiKeys) -> None:
        self._app = app
        self._api_keys = api_keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or reject it."""
        if scope["type"] == "http" and is_protected(scope["path"]):
            rejection = await self._rejection(scope)
            if rejection is not None:
                await rejection(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _rejection(self, scope: Scope) -> JSONResponse | None:
        presented = Headers(scope=scope).get(HEADER)
        if not presented:
            return _reject(401, f"missing API key: send it in the header {HEADER}", {"WWW-Authenticate": HEADER})
        key = self._api_keys.find(presented.encode("latin-1"))
        if key is None:
            return _reject(401, f"unknown API key in the header {HEADER}", {"WWW-Authenticate": HEADER})
        wanted = scope_of(scope["path"])
        if wanted is not None and wanted not in key.scopes:
            return _reject(403, f"missing required scope {wanted!r}: the key {key.name!r} does not have it")
        CALLER.set(key.sha256)
        try:
            await self._api_keys.charge(key)
        except RateExceededError as error:
            return _reject(429, str(error), error.headers)
        # Only now: a key that is over its rate must not have connections that count as its own.
        if accepted := scope.get(KEY_ACCEPTED):
            accepted(key.sha256)
        if wanted is None:
            # Not left to the router, which takes "/v1/model\n" for "/v1/model": what has no scope is not there.
            return _reject(404, "Not Found")
        if key.rate is not None:
            scope[CHARGE] = partial(self._api_keys.charge_rest, key)
            scope[MOST_ITEMS], scope[CHARGED] = self._api_keys.most_items(key), 1
        return None


async def charge_items(scope: Scope, items: int, what: str) -> None:
    """Count a batch of so many payments or reports against the key's rate, without those that are counted already.

    Raises `RateExceededError`.
    """
    if CHARGE in scope and items > scope[CHARGED]:
        await scope[CHARGE](items, scope[CHARGED], what)
        scope[CHARGED] = items


def _reject(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail}, status_code=status, headers=headers)
