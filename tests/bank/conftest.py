"""A migrated bank on a real PostgreSQL, empty for each test."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bank.landing import open_bank
from bank.migrate import migrate
from bank.settings import Settings, read_settings

TABLES = (
    "bank.transactions, bank.fraud_reports, bank.refunds, bank.unknown_labels, bank.hashed_ids, bank.sources, "
    "bank.erased_rows, bank.contents, bank.erased_customers"
)


@pytest.fixture(scope="session")
def settings(postgres: Any, secrets_dir: Path) -> Settings:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECRETS_DIR", str(secrets_dir))
        patch.setenv("BANK_URL", f"postgresql://127.0.0.1:{postgres.port}/bank_tests")
        patch.setenv("DECISIONS_URL", f"postgresql://127.0.0.1:{postgres.port}/decisions_tests")
        settings = read_settings()
    migrate(settings)
    return settings


@pytest.fixture
def admin(settings: Settings) -> Iterator[psycopg.Connection]:
    """The superuser's connection, to inspect and to clear tables."""
    password = settings.secret("bank_admin_password")
    with psycopg.connect(settings.bank_url, user="postgres", password=password, autocommit=True) as connection:
        yield connection


@pytest.fixture
def bank(settings: Settings, admin: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """The bank feed's connection, with empty tables."""
    admin.execute(f"truncate {TABLES} restart identity")
    with open_bank(settings) as connection:
        yield connection


@dataclass
class TinyScorer:
    """A server with the scorer's endpoints; `answer` maps a payment's id to a status."""

    key: str
    url: str = ""
    posted: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    connections: set[Any] = field(default_factory=set)
    answer: Callable[[int], int] = lambda _: 200
    ready: bool = True

    def take(self, path: str, key: str | None, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """The answer to one request, recorded in `posted` if it is 200."""
        if key != self.key:
            return 401, {"detail": "the key is not known"}
        status = self.answer(body["transaction_id"]) if path == "/v1/score" else 200
        if status != 200:
            return status, {"detail": "as the test wants it"}
        self.posted.append((path, body))
        if path == "/v1/fraud-reports":
            return 200, {"accepted": len(body["reports"]), "unknown": []}
        return 200, {"decision": "decline" if body["amount"] > 220 else "approve"}

    @property
    def scored(self) -> list[int]:
        """The ids of the payments scored, in order."""
        return [body["transaction_id"] for path, body in self.posted if path == "/v1/score"]

    @property
    def reported(self) -> list[int]:
        """The ids of the payments reported, in order."""
        return [report["transaction_id"] for _, body in self.posted for report in body.get("reports", [])]


@pytest.fixture
def tiny(settings: Settings) -> Iterator[TinyScorer]:
    """A running `TinyScorer`."""
    tiny = TinyScorer(settings.secret("scorer_api_key"))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer in one piece: in two it waits for the client's acknowledgement

        def do_GET(self) -> None:
            self.send_response(200 if tiny.ready else 503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            tiny.connections.add(self.client_address)
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, answer = tiny.take(self.path, self.headers["X-API-Key"], body)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Suppress the request log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    tiny.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield tiny
    server.shutdown()
    server.server_close()
