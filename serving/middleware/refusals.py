"""Refusals: their responses, and their log lines, of which an attack must not fill the disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import orjson

from serving.observability.logging import event

LOG_SECONDS: Final = 10


class Rejected(Exception):
    """Ends a request with an error response."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


class RefusalLog:
    """Logs the first refusal, then at most a line in `LOG_SECONDS`."""

    def __init__(self) -> None:
        self._count = 0
        self._logged_at = float("-inf")

    def add(self, status: int, detail: str, client: str) -> None:
        """Count a refusal and perhaps log it."""
        self._count += 1
        now = time.monotonic()
        if now - self._logged_at >= LOG_SECONDS:
            event("requests refused", logging.WARNING, status=status, reason=detail, client=client, count=self._count)
            self._count, self._logged_at = 0, now


def refusal_response(status: int, detail: str) -> bytes:
    """A whole response that ends the connection, for what never reaches the application."""
    body = orjson.dumps({"detail": detail})
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode("ascii") + body
