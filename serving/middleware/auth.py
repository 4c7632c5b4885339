"""Authenticate and authorise requests before their body is read, and count them against their key's rate."""

from __future__ import annotations

from functools import partial
from typing import Final

from starlette.types import Scope

from serving.errors import RateExceededError
from serving.fair_queuing import CALLER
from serving.middleware.api_keys import ApiKey, ApiKeys, is_protected, scope_of
from serving.middleware.http_limits import KEY_ACCEPTED
from serving.middleware.rejections import Rejected
from serving.middleware.request_context import first_value

HEADER: Final = "X-API-Key"
_RAW_HEADER: Final = HEADER.lower().encode()
CHARGE: Final = "serving.charge"
"""The entry of a request's ASGI scope that counts the rest of a batch."""
CHARGED: Final = "serving.charged"
"""The entry with the number of items that are counted already."""
MOST_ITEMS: Final = "serving.most_items"
"""The entry with the number of items that the key's rate allows at a time; none if the key has no rate."""


class Auth:
    """Everything under /v1 needs a key (401) with the scope (403), within its rate limit (429)."""

    def __init__(self, api_keys: ApiKeys) -> None:
        self._api_keys = api_keys

    async def check(self, scope: Scope) -> bool:
        """Whether the path needs a key, which the request then has. Raises `Rejected`."""
        path = scope["path"]
        if not is_protected(path):
            return False
        key = self._key_of(scope)
        wanted = scope_of(path)
        if wanted is not None and wanted not in key.scopes:
            raise Rejected(403, f"missing required scope {wanted!r}: the key {key.name!r} does not have it")
        CALLER.set(key.sha256)
        await self._charge(key)
        # Only now: a key that is over its rate must not have connections that count as its own.
        if accepted := scope.get(KEY_ACCEPTED):
            accepted(key.sha256)
        if key.rate is not None:
            scope[CHARGE] = partial(self._api_keys.charge_rest, key)
            scope[MOST_ITEMS], scope[CHARGED] = self._api_keys.most_items(key), 1
        if wanted is None:
            # Not left to the router, which takes "/v1/model\n" for "/v1/model": a path without a scope does not exist.
            raise Rejected(404, "Not Found")
        return True

    def _key_of(self, scope: Scope) -> ApiKey:
        presented = first_value(scope["headers"], _RAW_HEADER)
        if not presented:
            raise Rejected(401, f"missing API key: send it in the header {HEADER}", {"WWW-Authenticate": HEADER})
        key = self._api_keys.find(presented)
        if key is None:
            raise Rejected(401, f"unknown API key in the header {HEADER}", {"WWW-Authenticate": HEADER})
        return key

    async def _charge(self, key: ApiKey) -> None:
        try:
            await self._api_keys.charge(key)
        except RateExceededError as error:
            raise Rejected(429, str(error), error.headers) from error


async def charge_items(scope: Scope, items: int, what: str) -> None:
    """Count a batch of so many payments or reports against the key's rate, without those that are counted already.

    Raises `RateExceededError`.
    """
    if CHARGE in scope and items > scope[CHARGED]:
        await scope[CHARGE](items, scope[CHARGED], what)
        scope[CHARGED] = items
