"""Load generator: send requests to a URL with concurrent clients for some seconds, and time every response.

`python -m benchmarks.scorer.load --url --bodies --clients --seconds --warm-up` prints one line of JSON:
`{"requests", "seconds", "sent", "failed", "p50_ms", "p99_ms"}`. Each client sends its next request after a response, on
a persistent connection. It implements only the HTTP it needs, because a client library would cost more than the
servers.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

import numpy as np
import uvloop

from benchmarks.scorer.files import KEY_VARIABLE

TIMEOUT_SECONDS: Final = 30.0


class Client(asyncio.Protocol):
    """A connection that sends requests until `ends`; `took` has the time of each response and its duration, seconds."""

    def __init__(self, requests: Iterator[bytes], ends: float) -> None:
        self.took: list[tuple[float, float]] = []
        self.failed = 0
        self.done = asyncio.get_running_loop().create_future()
        self._requests = requests
        self._ends = ends
        self._sent = 0.0
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Collect a response; once it is complete, send the next request."""
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        lowered = self._buffer[:head].lower()
        at = lowered.find(b"content-length:")
        length = int(lowered[at + 15 : (lowered + b"\r\n").find(b"\r\n", at)])
        if len(self._buffer) < head + 4 + length:
            return
        now = time.perf_counter()
        self.took.append((now, now - self._sent))
        self.failed += not self._buffer.startswith(b"HTTP/1.1 200")
        self._buffer.clear()
        if now < self._ends:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Finish, with the error if there is one."""
        if not self.done.done():
            self.done.set_result(exc)

    def _ask(self) -> None:
        request = next(self._requests)
        self._sent = time.perf_counter()
        self._transport.write(request)


def requests_of(url: str, bodies: list[bytes], key: str) -> Iterator[bytes]:
    """An endless cycle of requests, one for each body."""
    parts = urlsplit(url)
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nX-API-Key: {key}\r\n"
        "Content-Type: application/json\r\nContent-Length: "
    ).encode()
    return itertools.cycle([head + str(len(body)).encode() + b"\r\n\r\n" + body for body in bodies])


async def load(url: str, bodies: list[bytes], clients: int, seconds: float, warm_up: float) -> dict[str, float]:
    """Generate load and summarise the responses after the warm-up. Raises `OSError` if the connection fails."""
    parts = urlsplit(url)
    host, port = cast(str, parts.hostname), cast(int, parts.port)
    requests = requests_of(url, bodies, os.environ.get(KEY_VARIABLE, ""))
    loop, began = asyncio.get_running_loop(), time.perf_counter() + warm_up
    connected = [
        await loop.create_connection(lambda: Client(requests, began + seconds), host, port) for _ in range(clients)
    ]
    # Do not wait forever for a server that does not answer.
    async with asyncio.timeout(warm_up + seconds + TIMEOUT_SECONDS):
        ended = await asyncio.gather(*(client.done for _, client in connected))
    took = np.array([one for _, client in connected for at, one in client.took if began <= at < began + seconds])
    failed = sum(client.failed for _, client in connected) + sum(error is not None for error in ended)
    return {
        "requests": len(took),
        "seconds": seconds,
        "failed": failed,
        "sent": sum(len(client.took) for _, client in connected),
        "p50_ms": round(1000 * float(np.quantile(took, 0.5)), 3) if len(took) else 0.0,
        "p99_ms": round(1000 * float(np.quantile(took, 0.99)), 3) if len(took) else 0.0,
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scorer.load", description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--bodies", type=Path, required=True, help="a file with one request body per line")
    parser.add_argument("--skip", type=int, default=0, help="number of bodies already sent")
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--warm-up", type=float, default=1.0)
    given = parser.parse_args()
    bodies = given.bodies.read_bytes().splitlines()
    bodies = bodies[given.skip % len(bodies) :]
    print(json.dumps(uvloop.run(load(given.url, bodies, given.clients, given.seconds, given.warm_up))))


if __name__ == "__main__":
    main()
