"""Answer only requests whose Host header is an IP address or an allowed name.

A web page could otherwise read a scorer on its visitor's machine: it lets its own name point there (DNS rebinding).
starlette's TrustedHostMiddleware answers in plain text, and knows no IP addresses.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

from starlette.types import Scope

from serving.middleware.rejections import Rejected, RejectionLog

ANY: Final = "*"
MAX_KNOWN: Final = 256
DETAIL: Final = (
    "the name in the Host header is not allowed: use localhost or an IP address, or add the name to "
    "SCORER_ALLOWED_HOSTS"
)


class AllowedHosts:
    """The hosts that requests may be sent to. A request without one, such as a health check, may pass."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed = allowed
        self._known: set[bytes] = set()
        """Headers that are allowed, as sent: most requests send the same few."""
        self._rejections = RejectionLog()

    def check(self, scope: Scope) -> None:
        """Raise `Rejected`, 400, for another host."""
        for name, value in scope["headers"]:
            if name == b"host" and value not in self._known and not self._learn(value):
                self._rejections.add(400, DETAIL, scope["client"][0] if scope.get("client") else "")
                raise Rejected(400, DETAIL)

    def _learn(self, header: bytes) -> bool:
        allowed = is_allowed(header.decode("latin-1"), self._allowed)
        if allowed and len(self._known) < MAX_KNOWN:
            self._known.add(header)
        return allowed


def parse_hosts(text: str) -> tuple[str, ...]:
    """The names in a setting: separated by commas, `*` for any, `*.example.org` for every name that ends so."""
    return tuple(name.strip().lower() for name in text.split(",") if name.strip())


def is_allowed(header: str, allowed: Sequence[str]) -> bool:
    """Whether a Host header, with or without a port, is allowed."""
    host = _without_port(header.lower())
    if ANY in allowed or not host or _is_address(host.strip("[]")):
        return True
    host = host.removesuffix(".")
    return any(host == name or (name.startswith("*.") and host.endswith(name[1:])) for name in allowed)


def _without_port(header: str) -> str:
    host, colon, port = header.rpartition(":")
    return host if colon and port.isdecimal() and not header.endswith("]") else header


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
