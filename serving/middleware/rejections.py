"""Rejections: their responses and their log lines."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import orjson

from serving.observability.counted_event import CountedEvent


class Rejected(Exception):
    """Ends a request with an error response."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


class RejectionLog:
    """Logs rejected requests, at most a line in ten seconds."""

    def __init__(self) -> None:
        self._rejected = CountedEvent("requests refused")

    def add(self, status: int, detail: str, client: str) -> None:
        """Count a rejection and perhaps log it."""
        self._rejected.add(status=status, reason=detail, client=client)


def rejection_response(status: int, detail: str) -> bytes:
    """A whole response that ends the connection, for what never reaches the application."""
    body = orjson.dumps({"detail": detail})
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode("ascii") + body
