"""The id of every request, the headers of every response, and the name of its route."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from typing import Final

from starlette.types import Message, Scope

REQUEST_ID: Final = b"x-request-id"
HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
"""Set on every response whose endpoint does not set them. Names are as ASGI has them: bytes in lower case."""
_GOOD_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def first_value(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes:
    """The value of the first header of a name, empty if there is none."""
    for other, value in headers:
        if other == name:
            return value
    return b""


def request_id_of(scope: Scope) -> str:
    """The caller's id if it is safe to log, else a new one."""
    given = first_value(scope["headers"], REQUEST_ID)
    return given.decode("ascii") if _GOOD_ID.fullmatch(given) else secrets.token_hex(8)


def set_headers(message: Message, request_id: str) -> None:
    """Add the id and `HEADERS` to the start of a response."""
    given = list(message["headers"])
    names = {name for name, _ in given}
    given.append((REQUEST_ID, request_id.encode("ascii")))
    given += HEADERS if names.isdisjoint(_NAMES) else [one for one in HEADERS if one[0] not in names]
    message["headers"] = given


_NAMES: Final = frozenset(name for name, _ in HEADERS)


def route_of(scope: Scope) -> str:
    """The route's pattern, so that ids do not become labels."""
    return str(getattr(scope.get("route"), "path", "none"))
