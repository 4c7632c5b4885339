"""Only requests to an IP address or an allowed name are answered."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from serving.app import create_app
from serving.middleware.allowed_hosts import is_allowed, parse_hosts
from serving.settings import Settings
from tests.serving.running import ScorerProcess

ALLOWED = parse_hosts(" localhost, Scorer ,*.example.org,")
HOSTS = {
    "localhost": True,
    "LOCALHOST:8000": True,
    "localhost.": True,
    "scorer:8000": True,
    "a.example.org": True,
    "a.b.example.org:443": True,
    "127.0.0.1": True,
    "10.1.2.3:8000": True,
    "[::1]": True,
    "[::1]:8000": True,
    "": True,
    "example.org": False,
    "evilexample.org": False,
    "rebind.example.com": False,
    "localhost.example.com": False,
    "localhost@example.com": False,
    "localhost:8000:evil": False,
    "127.0.0.1.example.com": False,
    "localhost,evil": False,
    "x" * 10_000: False,
    "\u00e9": False,
}


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host[:30])
def test_addresses_and_listed_names_are_allowed(host: str) -> None:
    assert is_allowed(host, ALLOWED) == HOSTS[host]
    assert is_allowed(host, ("*",))


@pytest.mark.parametrize("path", ["/livez", "/metrics", "/", "/docs", "/v1/model", "/nowhere"])
def test_another_name_is_refused_on_every_path(scorer: ScorerProcess, path: str) -> None:
    answer = scorer.client.get(path, headers={"Host": "rebind.example.com"})
    assert answer.status_code == 400
    assert "SCORER_ALLOWED_HOSTS" in answer.json()["detail"]
    assert "example" not in answer.text
    assert answer.headers["X-Request-ID"]
    assert '"requests refused"' in scorer.log.read_text()


def test_names_of_containers_probes_and_proxies_are_served(scorer: ScorerProcess) -> None:
    for host in ("scorer:8000", f"localhost:{scorer.port}", "10.42.0.7:8000"):
        assert scorer.client.get("/readyz", headers={"Host": host}).status_code == 200
    # As a health check of HTTP/1.0 does.
    with closing(socket.create_connection(("127.0.0.1", scorer.port), timeout=10)) as connection:
        connection.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
        assert b" 200 " in connection.recv(4_096).partition(b"\r\n")[0]
    # Of two, neither may be another.
    with closing(socket.create_connection(("127.0.0.1", scorer.port), timeout=10)) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: rebind.example.com\r\n\r\n")
        assert b" 400 " in connection.recv(4_096).partition(b"\r\n")[0]


def test_the_setting_adds_names(secrets: Path) -> None:
    app = create_app(Settings(secrets_dir=secrets, scorer_allowed_hosts="fraud.example.org"))

    async def ask(host: str) -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://{host}") as client:
            return (await client.get("/openapi.json")).status_code

    statuses = [asyncio.run(ask(host)) for host in ("fraud.example.org", "scorer", "127.0.0.1")]
    assert statuses == [200, 400, 200]
