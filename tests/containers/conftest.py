"""A fake server."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest


@dataclass
class Rehearsed:
    """The server's address and its answers: a status and body by path; the key `*` matches any path."""

    url: str = ""
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)


@pytest.fixture
def server() -> Iterator[Rehearsed]:
    """A running fake server."""
    rehearsed = Rehearsed()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = rehearsed.answers.get(self.path) or rehearsed.answers["*"]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            """Suppress the request log."""

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
    rehearsed.url = f"http://127.0.0.1:{listening.server_address[1]}"
    yield rehearsed
    listening.shutdown()
    listening.server_close()
