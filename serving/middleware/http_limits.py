"""Limits on what is read before a key is checked: a request's head, the time it may take, and connections.

uvicorn's fast parser (httptools) has none of them: a header line of 50 MB stops the event loop for seconds, requests
that never end keep their connections, and requests that are sent without waiting for responses fill the memory. This
protocol is uvicorn's with these limits around it.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import Iterable
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from serving.middleware.connection_share import ConnectionShare
from serving.middleware.rejections import RejectionLog, rejection_response
from serving.middleware.unread_responses import UnreadResponses
from serving.observability.logging import CONNECTION_LOGGER

MAX_HEAD_BYTES: Final = 32 * 1024
MAX_URL_BYTES: Final = 8 * 1024
MAX_QUERY_BYTES: Final = 256
"""FastAPI parses it for every endpoint, and the only parameter is `explain`."""
MAX_HEADERS: Final = 100
MAX_CHUNKS: Final = 10_000
"""Chunks of one body: each is two calls of Python, however small it is."""
MAX_PIPELINED: Final = 32
"""Requests of one connection that wait for the response to the one before."""
MAX_PIPELINED_WITHOUT_KEY: Final = 3
"""The same before the connection had a valid key: a response that is not read keeps them for minutes."""
MAX_UNUSED_BYTES: Final = 8 * 2**20
"""How much of a body is still read, and dropped, after the response to its request, so that the connection can be used
again: more than a client sends whose body was rejected for its size."""
HEAD_SECONDS: Final = 10
BODY_SECONDS: Final = 30
READ_SECONDS: Final = 30
"""How long a client may take for each `READ_BYTES` of a response that is in no buffer of the network yet."""
SWEEP_SECONDS: Final = 5
LINGER_SECONDS: Final = 2
"""How long a rejected connection stays open, so that the client, which may still be sending, can read why."""
OTHER_HANDLES: Final = 200
"""File handles left for everything that is not a client's connection, or half of them if there are fewer."""
MAX_CONNECTIONS: Final = 10_000
KEY_ACCEPTED: Final = "serving.key_accepted"
"""The entry of a request's ASGI scope to call with its key once it is accepted; none if one was on the connection."""


def max_connections() -> int:
    """How many connections one worker accepts: as many as its file handles allow, and at most `MAX_CONNECTIONS`."""
    handles, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if handles < 0 else min(MAX_CONNECTIONS, max(handles - OTHER_HANDLES, handles // 2))


class RefusedError(Exception):
    """Ends the parser's work on what has come: the connection is rejected already."""


class LimitedHttpProtocol(HttpToolsProtocol):
    """One connection. Refuses with 400, 408, 414, 429, 431 or 503 and a JSON body, like every error of the scorer."""

    max_connections: ClassVar[int] = 0
    """0: as many as `max_connections` says, since the limit of file handles may change."""
    rejections: ClassVar[RejectionLog] = RejectionLog()
    share: ClassVar[ConnectionShare[LimitedHttpProtocol]] = ConnectionShare(lambda one: one._is_spare())
    _unread: ClassVar[UnreadResponses[Any]] = UnreadResponses()
    _timer: ClassVar[asyncio.TimerHandle | None] = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.logger = logging.getLogger(CONNECTION_LOGGER)
        self._refused = False
        self._in_head = True
        self._is_last = False
        """Whether nothing more is read: what follows may be another protocol."""
        self._head_bytes = 0
        self._unused_bytes = 0
        self._pieces = 0
        self._chunks = 0
        self._messages = 0
        self._running: RequestResponseCycle | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept the connection; if there are too many, in place of another."""
        super().connection_made(transport)
        self.share.opened(self)
        self._wait(HEAD_SECONDS)
        most = self.max_connections or max_connections()
        if len(self.connections) > most:
            self._make_room(most)
        if len(self.connections) == 1:
            self._start_sweeping()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.share.closed(self)
        self._stop_waiting()
        self._disconnect()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse some bytes; reject a head that is too large before it is complete."""
        if self._refused or self._is_last:
            return
        began_in_head, messages, pieces = self._in_head, self._messages, self._pieces
        super().data_received(data)
        if self._refused or self.transport.is_closing():
            return
        if not self._in_head:
            self._check_rest(len(data), began_in_head or pieces != self._pieces)
            return
        # Bytes of an earlier request in the same piece do not count.
        self._head_bytes = self._head_bytes + len(data) if began_in_head and messages == self._messages else 0
        if len(getattr(self, "url", b"")) > MAX_URL_BYTES:
            self.refuse(414, f"the URL is longer than {MAX_URL_BYTES} bytes")
        elif self._head_bytes > MAX_HEAD_BYTES:
            self.refuse(431, f"the headers are longer than {MAX_HEAD_BYTES} bytes")
        elif self._deadline is None and self._is_idle():
            # An empty line, or the rest of a body, begins no request, but ends uvicorn's limit for kept connections.
            self._wait(HEAD_SECONDS)

    def on_message_begin(self) -> None:
        """A request begins."""
        most = MAX_PIPELINED_WITHOUT_KEY if self.share.is_stranger(self) else MAX_PIPELINED
        if len(self.pipeline) >= most:
            self._abort_parsing(429, f"more than {most} requests wait on one connection: wait for their responses")
        super().on_message_begin()
        if self.share.is_stranger(self):
            self.scope[KEY_ACCEPTED] = self._key_accepted  # type: ignore[typeddict-unknown-key]
        self._wait(HEAD_SECONDS)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer; not one after the other until the head is complete."""
        if len(self.headers) >= MAX_HEADERS:
            self._abort_parsing(431, f"more than {MAX_HEADERS} headers")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Pass the request on, unless its head is too large."""
        if len(self.url) > MAX_URL_BYTES:
            self._abort_parsing(414, f"the URL is longer than {MAX_URL_BYTES} bytes")
        if len(self.url.partition(b"?")[2]) > MAX_QUERY_BYTES:
            self._abort_parsing(414, f"the query is longer than {MAX_QUERY_BYTES} bytes")
        if _size_of(self.headers) > MAX_HEAD_BYTES:
            self._abort_parsing(431, f"the headers are longer than {MAX_HEAD_BYTES} bytes")
        if self.pipeline and self._waiting_bytes() > MAX_HEAD_BYTES:
            detail = f"the headers of requests that wait on one connection are longer than {MAX_HEAD_BYTES} bytes"
            self._abort_parsing(431, f"{detail}: wait for their responses")
        if self.parser.should_upgrade():
            self._decline_upgrade()
        self._wait(BODY_SECONDS)
        # A copy: what comes after the body (trailers) is not a header, and a proxy in front did not check it. FastAPI
        # parses cookies for each endpoint, and none uses them.
        self.scope["headers"] = [header for header in self.headers if header[0] != b"cookie"]
        self._chunks = 0
        super().on_headers_complete()
        # Only now: until then `cycle` is that of the request before.
        self._in_head = False
        if self._is_last:
            self.cycle.keep_alive = False

    def _decline_upgrade(self) -> None:
        """Ignore that the client offers another protocol, unless the parser then takes the body for that protocol.

        What follows such a request must not be parsed as the next one. For CONNECT the parser expects no HTTP either.
        """
        self._is_last = True
        names = {name for name, value in self.headers if value != b"0"}
        if self.parser.get_method() == b"CONNECT" or not names.isdisjoint((b"content-length", b"transfer-encoding")):
            self._abort_parsing(501, "Upgrade and CONNECT are not supported: send the request without them")

    def on_chunk_header(self) -> None:
        """A chunk of the body begins."""
        self._chunks += 1
        if self._chunks > MAX_CHUNKS:
            self._abort_parsing(400, f"the body has more than {MAX_CHUNKS} chunks: send larger ones")

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._pieces += 1
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._stop_waiting()
        self._in_head, self._head_bytes, self._unused_bytes = True, 0, 0
        self._messages += 1
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, or no valid request."""
        if not self._refused:
            self.refuse(400, f"{msg} Send HTTP/1.1")

    def on_response_complete(self) -> None:
        """Go on with the next request that waits."""
        self._running = None
        super().on_response_complete()

    def refuse(self, status: int, detail: str, linger: bool = True) -> None:
        """Answer with an error and close the connection."""
        self.rejections.add(status, detail, self.client[0] if self.client else "")
        # The client would take it for a part of a response that has begun, or for the response to its next request.
        silent = self._has_begun_to_answer() or self._is_answered_early()
        self._disconnect()
        if not silent:
            self.transport.write(rejection_response(status, detail))
        self._end(linger)

    def _end(self, linger: bool = True) -> None:
        """Parse nothing more, and close the connection, or once the client had time to read."""
        self._refused = True
        self._stop_waiting()
        self.flow.resume_reading()
        if linger and self.transport.can_write_eof():
            self.transport.write_eof()
            self._deadline = self.loop.call_later(LINGER_SECONDS, self.transport.close)
        else:
            self.transport.close()

    def _abort_parsing(self, status: int, detail: str) -> None:
        """Refuse in the middle of what the parser works on; it calls `send_400_response` then."""
        self.refuse(status, detail)
        raise RefusedError

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _has_begun_to_answer(self) -> bool:
        return self._running is not None and self._running.response_started

    def _is_answered_early(self) -> bool:
        """Whether the request whose body still comes has its response."""
        return not self._in_head and self.cycle is not None and self.cycle.response_complete

    def _is_idle(self) -> bool:
        """Whether there was a request, and none is being answered or sent."""
        return self._in_head and self._running is None and self.cycle is not None

    def _is_spare(self) -> bool:
        """Whether no request is being served: none is there, or its response was sent before its body was complete."""
        return self._refused or self._is_idle() or self._is_answered_early()

    def _disconnect(self) -> None:
        """The application must neither wait for the rest of a request nor answer."""
        for cycle in (self._running, self.cycle, *(waiting for waiting, _ in self.pipeline)):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.waiting_for_100_continue = False
                cycle.message_event.set()
        self.pipeline.clear()

    def _check_rest(self, size: int, is_used: bool) -> None:
        """Limit what comes of a request after its head, other than its body (in chunks)."""
        if self._is_answered_early():
            self._unused_bytes += size
            if self._unused_bytes > MAX_UNUSED_BYTES:
                self._end()
            return
        self._head_bytes = 0 if is_used else self._head_bytes + size
        if self._head_bytes > MAX_HEAD_BYTES:
            self.refuse(431, f"a chunk extension or trailers are longer than {MAX_HEAD_BYTES} bytes")

    def _waiting_bytes(self) -> int:
        """The bytes of the headers of this request and of those that wait."""
        return _size_of(self.headers) + sum(_size_of(cycle.scope["headers"]) for cycle, _ in self.pipeline)

    def _key_accepted(self, key: str) -> None:
        self.share.accepted(self, key)

    def _make_room(self, most: int) -> None:
        """Close another connection, or this one."""
        one = self.share.gives_way(self, most)
        self.share.closed(one)
        if one._refused or one.transport.get_write_buffer_size():
            # It would stay open until its client has read everything.
            one.transport.abort()
        else:
            one.refuse(503, f"more than {most} connections: retry", linger=False)
            if one.transport.get_write_buffer_size():
                # The network's buffers are full: it would not close until its client reads.
                one.transport.abort()

    def _start_sweeping(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        type(self)._timer = self.loop.call_later(SWEEP_SECONDS, self._sweep, self.loop, self.connections)

    @classmethod
    def _sweep(cls, loop: asyncio.AbstractEventLoop, connections: set[Any]) -> None:
        """Close the connections whose clients do not read, as long as there are connections."""
        left = {one: one.transport.get_write_buffer_size() for one in connections}
        for one, detail in cls._unread.given_up(left, loop.time(), READ_SECONDS):
            one._give_up(detail)
        cls._timer = loop.call_later(SWEEP_SECONDS, cls._sweep, loop, connections) if connections else None

    def _give_up(self, detail: str) -> None:
        self.rejections.add(408, detail, self.client[0] if self.client else "")
        self.transport.abort()

    def _wait(self, seconds: float) -> None:
        self._stop_waiting()
        self._deadline = self.loop.call_later(seconds, self._too_late, seconds)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self, seconds: float) -> None:
        self._deadline = None
        if self.pipeline or (self._in_head and self._running is not None):
            # Reading is paused, or a response is under way, which must not be lost.
            self._wait(seconds)
            return
        if not self._in_head and self.cycle is not None and self.cycle.response_started:
            # Answered before its body was complete, as without a key.
            self.transport.close()
        elif self._messages and self._in_head and not self._head_bytes:
            # Nothing came. uvicorn closes a kept connection, unless the rest of an answered body ended its limit.
            if self.timeout_keep_alive_task is None:
                self.transport.close()
        else:
            part = "headers" if self._in_head else "body"
            self.refuse(408, f"the {part} did not arrive within {seconds:g} s")


def _size_of(headers: Iterable[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) for name, value in headers)
