"""Proxies and credentials of addresses: a scorer asks its own MLflow directly, and shows no password anywhere."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from demo.embedded_servers import free_port
from serving.errors import SettingsError
from serving.settings import read_settings
from tests.serving.conftest import Start
from tests.serving.registry_stub import RegistryStub
from tests.serving.running import ROOT, wait_for

SECRET = "s3cr3t"


@pytest.fixture(autouse=True)
def no_exceptions(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make test` excepts every server from proxies, which would leave nothing to test."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def proxy() -> Iterator[tuple[str, list[str]]]:
    """A proxy's address, and what it was asked for; it answers 502."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(502)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Suppress the request log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "others", [{}, {"NO_PROXY": "fd00::/8,[::1]", "ALL_PROXY": "socks5://127.0.0.1:9", "https_proxy": "::::"}]
)
@pytest.mark.usefixtures("state")
def test_a_scorer_asks_its_own_mlflow_without_the_proxy(
    start: Start, proxy: tuple[str, list[str]], others: dict[str, str]
) -> None:
    address, asked = proxy
    scorer = start(HTTP_PROXY=address, http_proxy=address, **others)
    assert scorer.client.get("/readyz").status_code == 200
    assert asked == []
    scorer.kill()


@pytest.mark.usefixtures("state")
def test_an_mlflow_elsewhere_is_asked_by_the_proxy(start: Start, proxy: tuple[str, list[str]]) -> None:
    address, asked = proxy
    scorer = start(ready=False, http_proxy=address, MLFLOW_TRACKING_URI="http://mlflow.example.org:5000")
    wait_for(lambda: asked)
    assert asked[0].startswith("http://mlflow.example.org:5000/api/2.0/mlflow/registered-models/alias?")
    scorer.kill()


@pytest.mark.usefixtures("state")
def test_no_password_of_an_address_is_shown_anywhere(
    start: Start, settings: dict[str, str], registry: RegistryStub
) -> None:
    """MLflow, Valkey and PostgreSQL do not answer, so every page and log line speaks of them."""
    closed = free_port()
    scorer = start(
        ready=False,
        MLFLOW_TRACKING_URI=f"http://bob:{SECRET}@127.0.0.1:{closed}",
        VALKEY_URL=f"valkey://bob:{SECRET}@127.0.0.1:{closed}/0",
        DECISIONS_URL=f"postgresql://bob:{SECRET}@127.0.0.1:{closed}/decisions?sslpassword={SECRET}",
    )
    wait_for(lambda: f"MLflow at http://***@127.0.0.1:{closed}" in scorer.client.get("/readyz").text)
    payment = {
        "transaction_id": 1,
        "customer_id": 1,
        "terminal_id": 1,
        "amount": 1,
        "occurred_at": "2018-08-31T10:00:00Z",
    }
    pages = [
        scorer.client.get(path).text for path in ("/readyz", "/livez", "/metrics", "/v1/model", "/", "/v1/decisions/1")
    ]
    pages += [scorer.client.post("/v1/score", json=payment).text, scorer.log.read_text()]
    assert scorer.stop() == 0
    assert [page for page in [*pages, scorer.log.read_text()] if SECRET in page] == []
    assert settings["MLFLOW_TRACKING_URI"] == registry.url


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MLFLOW_TRACKING_URI", "http://bob:s3c/r3t@127.0.0.1:1"),
        ("VALKEY_URL", "valkey://bob:s3c/r3t@127.0.0.1:1/0"),
        ("MLFLOW_TRACKING_URI", "http://bob:s3cr3t@127.0.0.1:port"),
    ],
)
def test_a_misread_address_ends_the_start_in_one_line_without_the_password(
    settings: dict[str, str], variable: str, value: str
) -> None:
    done = run_once(settings | {variable: value})
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"serving: invalid settings: {variable}: ")
    assert "r3t" not in line


def run_once(settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "serving"]
    return subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=30, check=False)


def test_an_unusable_proxy_to_an_mlflow_elsewhere_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example.org:5000")
    monkeypatch.setenv("ALL_PROXY", f"socks5://bob:{SECRET}@127.0.0.1:1080")
    with pytest.raises(SettingsError, match=r"MLFLOW_TRACKING_URI: the proxy socks5://\*\*\*@127.*NO_PROXY") as caught:
        read_settings()
    assert SECRET not in str(caught.value)


def test_log_lines_show_no_credentials() -> None:
    code = f"""
from serving.observability.logging import configure_logging, event
configure_logging()
class Odd:
    def __str__(self): return "http://bob:{SECRET}@host"
event("a http://bob:{SECRET}@host", reason="postgresql://bob:{SECRET}@host/db", odd=Odd(), number=1)
try:
    raise ValueError("valkey://:{SECRET}@host")
except ValueError:
    event("failed", exc_info=True)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert SECRET not in done.stderr
    assert done.stderr.count("***@host") == 4
    assert '"number": 1' in done.stderr
