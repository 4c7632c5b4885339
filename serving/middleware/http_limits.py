"""Limits on what is read before a key is checked: a request's head, the time it may take, and connections.

uvicorn's fast parser (httptools) has none of them: a header line of 50 MB stops the event loop for seconds, and
requests that never end keep their connections. This protocol is uvicorn's with these limits around it.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from http import HTTPStatus
from typing import Any, ClassVar, Final

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.observability.logging import event

MAX_HEAD_BYTES: Final = 32 * 1024
MAX_URL_BYTES: Final = 8 * 1024
MAX_HEADERS: Final = 100
HEAD_SECONDS: Final = 10
BODY_SECONDS: Final = 30
READ_SECONDS: Final = 30
"""How long a client may take for each `READ_BYTES` of a response that is in no buffer of the network yet."""
READ_BYTES: Final = 64 * 1024
LINGER_SECONDS: Final = 2
"""How long a refused connection stays open, so that the client, which may still be sending, can read why."""
OTHER_HANDLES: Final = 200
"""File handles left for everything that is no client's connection, or half of them if there are fewer."""
MAX_CONNECTIONS: Final = 10_000
LOG_SECONDS: Final = 10


def max_connections() -> int:
    """How many connections one worker accepts: as many as its file handles allow, and at most `MAX_CONNECTIONS`."""
    handles, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if handles < 0 else min(MAX_CONNECTIONS, max(handles - OTHER_HANDLES, handles // 2))


class RefusalLog:
    """Logs the first refusal, then at most a line in `LOG_SECONDS`: an attack must not fill the disk."""

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


class LimitedHttpProtocol(HttpToolsProtocol):
    """One connection. Refuses with 400, 431, 414, 408 or 503 and a JSON body, like every error of the scorer."""

    max_connections: ClassVar[int] = 0
    """0: as many as `max_connections` says, since the limit of file handles may change."""
    refusals: ClassVar[RefusalLog] = RefusalLog()
    _strangers: ClassVar[dict[LimitedHttpProtocol, None]] = {}
    """Connections that have not sent a whole request yet, the oldest first. If there are too many, they go first."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._refused = False
        self._in_head = True
        self._head_bytes = 0
        self._messages = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept the connection; if there are too many, in place of the oldest that has not sent a whole request."""
        super().connection_made(transport)
        self._strangers[self] = None
        self._wait(HEAD_SECONDS)
        most = self.max_connections or max_connections()
        if len(self.connections) > most:
            oldest = next(iter(self._strangers))
            oldest.refuse(503, f"more than {most} connections: retry", linger=False)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._strangers.pop(self, None)
        self._stop_waiting()
        self._stop_waiting_for_reader()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse some bytes; refuse a head that is too large before it is complete."""
        if self._refused:
            return
        began_in_head, messages = self._in_head, self._messages
        super().data_received(data)
        if self._refused or self.transport.is_closing() or not self._in_head:
            return
        if self._deadline is None and (self.cycle is None or self.cycle.response_complete):
            # An empty line, or the rest of a body, begins no request, but ends uvicorn's limit for kept connections.
            self._wait(HEAD_SECONDS)
        # Bytes of an earlier request in the same piece do not count.
        self._head_bytes = self._head_bytes + len(data) if began_in_head and messages == self._messages else 0
        if len(getattr(self, "url", b"")) > MAX_URL_BYTES:
            self.refuse(414, f"the URL is longer than {MAX_URL_BYTES} bytes")
        elif self._head_bytes > MAX_HEAD_BYTES:
            self.refuse(431, f"the headers are longer than {MAX_HEAD_BYTES} bytes")

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._wait(HEAD_SECONDS)

    def on_headers_complete(self) -> None:
        """Pass the request on, unless its head is too large."""
        self._in_head = False
        if len(self.url) > MAX_URL_BYTES:
            self.refuse(414, f"the URL is longer than {MAX_URL_BYTES} bytes")
        elif len(self.headers) > MAX_HEADERS:
            self.refuse(431, f"more than {MAX_HEADERS} headers")
        elif sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD_BYTES:
            self.refuse(431, f"the headers are longer than {MAX_HEAD_BYTES} bytes")
        else:
            self._wait(BODY_SECONDS)
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        if self._refused:
            return
        self._stop_waiting()
        self._strangers.pop(self, None)
        self._in_head, self._head_bytes = True, 0
        self._messages += 1
        super().on_message_complete()

    def refuse(self, status: int, detail: str, linger: bool = True) -> None:
        """Answer with an error and close the connection."""
        self._refused = True
        self._strangers.pop(self, None)
        self._stop_waiting()
        self.refusals.add(status, detail, self.client[0] if self.client else "")
        if self.cycle is not None:
            # The application must not wait for the rest, nor answer.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.flow.resume_reading()
        self.transport.write(_response(status, detail))
        if linger and self.transport.can_write_eof():
            self.transport.write_eof()
            self._deadline = self.loop.call_later(LINGER_SECONDS, self._close)
        else:
            self._close()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP; uvicorn answers in plain text."""
        self.refuse(400, msg)

    def pause_writing(self) -> None:
        """The client does not read: wait a while, and not for ever."""
        super().pause_writing()
        self._wait_for_reader()

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        self._stop_waiting_for_reader()

    def on_response_complete(self) -> None:
        """The response is written, but perhaps not read."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._wait_for_reader()

    def timeout_keep_alive_handler(self) -> None:
        """Close a kept connection."""
        if not self.transport.is_closing():
            self._close()

    def _close(self) -> None:
        """Close the connection, once the client has read what is left."""
        self.transport.close()
        self._wait_for_reader()

    def _wait_for_reader(self) -> None:
        self._stop_waiting_for_reader()
        if left := self.transport.get_write_buffer_size():
            self._unread = self.loop.call_later(READ_SECONDS, self._check_reader, left)

    def _check_reader(self, before: int) -> None:
        """Give up a client that has read too little meanwhile."""
        if self.transport.get_write_buffer_size() <= before - READ_BYTES:
            self._wait_for_reader()
            return
        self.refusals.add(
            408, f"a response was not read within {READ_SECONDS:g} s", self.client[0] if self.client else ""
        )
        self.transport.abort()

    def _stop_waiting_for_reader(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _wait(self, seconds: float) -> None:
        self._stop_waiting()
        self._deadline = self.loop.call_later(seconds, self._too_late, seconds)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self, seconds: float) -> None:
        if not self._in_head and self.cycle is not None and self.cycle.response_started:
            # Answered before its body was complete, as without a key.
            self._close()
        elif self._messages and self._in_head and not self._head_bytes:
            # Nothing came. uvicorn closes a kept connection, unless the rest of an answered body ended its limit.
            if self.timeout_keep_alive_task is None:
                self._close()
        else:
            part = "headers" if self._in_head else "body"
            self.refuse(408, f"the {part} did not arrive within {seconds:g} s")


def _response(status: int, detail: str) -> bytes:
    body = orjson.dumps({"detail": detail})
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode("ascii") + body
