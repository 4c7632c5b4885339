"""Refusals: their responses, and their log lines, of which an attack must not fill the disk."""

from __future__ import annotations

from http import HTTPStatus

import orjson

from serving.observability.limited_log import LimitedLog


class RefusalLog:
    """Logs refusals by their number."""

    def __init__(self) -> None:
        self._log = LimitedLog("requests refused")

    def add(self, status: int, detail: str, client: str) -> None:
        """Count a refusal and perhaps log it."""
        self._log.add(status=status, reason=detail, client=client)


def refusal_response(status: int, detail: str) -> bytes:
    """A whole response that ends the connection, for what never reaches the application."""
    body = orjson.dumps({"detail": detail})
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode("ascii") + body
