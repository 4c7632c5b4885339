"""Requests that try to keep a scorer from its clients."""

from __future__ import annotations

import itertools
import socket
import string
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from typing import Final

MEBIBYTE: Final = 2**20
FIELDS: Final = 466_000
"""Unknown fields, almost as many as 4 MiB can have."""
Attack = Callable[[int, str, float], None]
"""Attacks the scorer at a port with a valid key for some seconds."""


def long_header_lines(port: int, _: str, seconds: float) -> None:
    """A header line of 50 MB, again and again, without a key."""

    def attack() -> None:
        with closing(_connect(port)) as connection, suppress(OSError):
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ")
            for _ in range(50):
                connection.sendall(b"x" * MEBIBYTE)

    _repeat(attack, seconds)


def half_sent_bodies(port: int, key: str, seconds: float) -> None:
    """300 batches whose second half does not come."""
    head = _head("/v1/score/batch", key, 200_000)
    _half_send([head + b" " * 100_000] * 300, port, seconds)


def half_sent_requests(port: int, _: str, seconds: float) -> None:
    """1,100 requests whose headers do not end."""
    _half_send([b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"] * 1_100, port, seconds)


def unknown_fields(port: int, key: str, seconds: float) -> None:
    """Batches of one payment with very many unknown fields, twelve at a time."""
    names = itertools.product(string.ascii_letters.encode(), repeat=4)
    fields = b",".join(b'"%s":1' % bytes(name) for name in itertools.islice(names, FIELDS))
    body = b'{"transactions":[{' + fields + b"}]}"
    request = _head("/v1/score/batch", key, len(body)) + body

    def attack() -> None:
        with closing(_connect(port)) as connection, suppress(OSError):
            connection.sendall(request)
            connection.recv(MEBIBYTE)

    _together(12, attack, seconds)


def pipelined_requests(port: int, _: str, seconds: float) -> None:
    """Requests without a key, one after another without waiting for a response."""

    def attack() -> None:
        with closing(_connect(port)) as connection, suppress(OSError):
            for _ in range(20):
                connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5_000)

    _repeat(attack, seconds)


def endless_trailers(port: int, _: str, seconds: float) -> None:
    """A line of 50 MB after a body, without a key."""

    def attack() -> None:
        with closing(_connect(port)) as connection, suppress(OSError):
            connection.sendall(_CHUNKED + b"0\r\nX: ")
            for _ in range(50):
                connection.sendall(b"x" * MEBIBYTE)

    _repeat(attack, seconds)


def chunks_of_a_byte(port: int, _: str, seconds: float) -> None:
    """A body in very many chunks, without a key."""

    def attack() -> None:
        with closing(_connect(port)) as connection, suppress(OSError):
            connection.sendall(_CHUNKED)
            for _ in range(50):
                connection.sendall(b"1\r\n \r\n" * 40_000)

    _repeat(attack, seconds)


def metrics(port: int, _: str, seconds: float) -> None:
    """What needs no key and is expensive, eight at a time."""

    def attack() -> None:
        with closing(_connect(port)) as connection, suppress(OSError):
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            while connection.recv(MEBIBYTE):
                pass

    _together(8, attack, seconds)


ATTACKS: Final[dict[str, Attack]] = {
    "long header lines": long_header_lines,
    "half-sent bodies": half_sent_bodies,
    "half-sent requests": half_sent_requests,
    "unknown fields": unknown_fields,
    "pipelined requests": pipelined_requests,
    "endless trailers": endless_trailers,
    "chunks of a byte": chunks_of_a_byte,
    "metrics": metrics,
}
_CHUNKED: Final = b"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


def _connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def _head(path: str, key: str, length: int) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"X-API-Key: {key}", "Content-Type: application/json"]
    return "\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode()


def _repeat(attack: Callable[[], None], seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        attack()


def _together(clients: int, attack: Callable[[], None], seconds: float) -> None:
    """Repeat an attack from several clients at the same time."""
    threads = [threading.Thread(target=_repeat, args=(attack, seconds)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _half_send(pieces: list[bytes], port: int, seconds: float) -> None:
    """Send a piece on each of many connections, and keep them open."""
    end = time.monotonic() + seconds
    with ExitStack() as stack:
        for piece in pieces:
            with suppress(OSError):
                stack.enter_context(closing(_connect(port))).sendall(piece)
        time.sleep(max(0, end - time.monotonic()))
