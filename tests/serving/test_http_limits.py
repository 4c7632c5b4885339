"""Limits on what is read before a key is checked. Raw sockets, because clients do not send such requests."""

from __future__ import annotations

import json
import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest

from serving.middleware import http_limits
from serving.middleware.file_handles import WANTED, raise_limit
from serving.middleware.http_limits import MAX_HEAD_BYTES, MAX_URL_BYTES
from tests.serving.running import KEYS, ScorerProcess, body, wait_for

T = 1_536_500_000
Fresh = Callable[[], int]
MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def own(start: Callable[..., ScorerProcess], state: object) -> Iterator[ScorerProcess]:
    """A separate scorer."""
    scorer = start()
    yield scorer
    scorer.stop()


def memory_of(scorer: ScorerProcess) -> int:
    """The resident memory of its process, in bytes."""
    assert scorer.process
    status = Path(f"/proc/{scorer.process.pid}/status").read_text()
    return 1024 * int(status.partition("VmRSS:")[2].split()[0])


def connect(scorer: ScorerProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", scorer.port), timeout=30)


def send_all(connection: socket.socket, *pieces: bytes) -> tuple[int, str]:
    """Send pieces until the scorer has had enough; the status and the detail of its answer."""
    with suppress(OSError):
        for piece in pieces:
            connection.sendall(piece)
    return answer_on(connection)


def answer_on(connection: socket.socket) -> tuple[int, str]:
    received = b""
    with suppress(OSError):
        while piece := connection.recv(65_536):
            received += piece
    head, _, content = received.partition(b"\r\n\r\n")
    assert head, "no answer"
    return int(head.split()[1]), json.loads(content)["detail"]


def seconds_until_closed(connection: socket.socket, drop: bytes) -> float:
    """How long a connection stays open to a client that sends something five times a second."""
    began = time.monotonic()
    with suppress(OSError):
        while time.monotonic() - began < 20:
            connection.sendall(drop)
            time.sleep(0.2)
    return time.monotonic() - began


HEADS = {
    "a header line": (431, [b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ", *[b"x" * MEBIBYTE] * 50]),
    "many headers": (431, [b"GET /livez HTTP/1.1\r\nHost: localhost\r\n", *[b"X: y\r\n" * 10_000] * 50]),
    "few more than allowed": (431, [b"GET /livez HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 101 + b"\r\n"]),
    "a whole head": (
        431,
        [b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * (MAX_HEAD_BYTES + 1) + b"\r\n\r\n"],
    ),
    "a URL": (414, [b"GET /", *[b"x" * MEBIBYTE] * 50]),
    "a whole URL": (414, [b"GET /" + b"x" * (MAX_URL_BYTES + 1) + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"]),
    "trailers": (431, [b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX:" + b" " * 40_000, *[b" " * MEBIBYTE] * 20]),
}


@pytest.mark.parametrize("case", HEADS)
def test_a_head_that_is_too_large_is_refused_and_stops_nobody(own: ScorerProcess, fresh: Fresh, case: str) -> None:
    status, pieces = HEADS[case]
    before = memory_of(own)
    with closing(connect(own)) as connection:
        found, detail = send_all(connection, *pieces)
    assert found == status
    assert "longer than" in detail or "more than" in detail
    assert own.score(fresh(), fresh(), fresh(), 100, T)["decision"]
    assert memory_of(own) - before < 20 * MEBIBYTE


def test_large_and_several_requests_on_one_connection_are_served(own: ScorerProcess) -> None:
    """Neither pipelined requests nor long heads within the limit are rejected."""
    one = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 10_000 + b"\r\n\r\n"
    with closing(connect(own)) as connection:
        connection.sendall(one * 3 + one.replace(b"Host: localhost", b"Host: localhost\r\nConnection: close"))
        received = b""
        while piece := connection.recv(65_536):
            received += piece
    assert received.count(b"HTTP/1.1 200 OK") == 4


@pytest.fixture
def hurried(start: Callable[..., ScorerProcess], state: object, tmp_path: Path) -> Iterator[ScorerProcess]:
    """A scorer with short limits, and room for twenty connections."""
    (tmp_path / "sitecustomize.py").write_text(
        "from serving.middleware import http_limits as limits\n"
        "limits.HEAD_SECONDS = 2\nlimits.BODY_SECONDS = 3\nlimits.LINGER_SECONDS = 0.5\nlimits.READ_SECONDS = 1\n"
        "limits.SWEEP_SECONDS = 0.25\n"
        "limits.LimitedHttpProtocol.max_connections = 20\n"
    )
    scorer = start(PYTHONPATH=f"{tmp_path}:{Path(http_limits.__file__).parents[2]}")
    yield scorer
    scorer.stop()


def test_a_request_that_does_not_end_is_timed_out(hurried: ScorerProcess, fresh: Fresh) -> None:
    key = f"X-API-Key: {KEYS['all']}\r\nContent-Type: application/json\r\n".encode()
    unfinished = {
        b"": "headers",
        b"GET /livez HTT": "headers",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\n": "headers",
        b"POST /v1/score HTTP/1.1\r\nHost: localhost\r\n" + key + b"Content-Length: 100\r\n\r\n{": "body",
    }
    with ExitStack() as stack:
        connections = {start: stack.enter_context(closing(connect(hurried))) for start in unfinished}
        for start, connection in connections.items():
            connection.sendall(start)
        for start, part in unfinished.items():
            status, detail = answer_on(connections[start])
            assert (status, detail.split()[1]) == (408, part)
    assert hurried.score(fresh(), fresh(), fresh(), 100, T)["decision"]
    assert '"requests refused"' in hurried.log.read_text()


def test_a_head_in_drops_is_timed_out(hurried: ScorerProcess) -> None:
    with closing(connect(hurried)) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\n")
        assert seconds_until_closed(connection, b"X: y\r\n") < 15


def test_a_body_in_drops_is_timed_out(hurried: ScorerProcess) -> None:
    head = f"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEYS['all']}\r\nContent-Length: 9999\r\n\r\n"
    with closing(connect(hurried)) as connection:
        connection.sendall(head.encode())
        assert seconds_until_closed(connection, b" ") < 15


def test_empty_lines_do_not_keep_a_connection(hurried: ScorerProcess) -> None:
    """They begin no request, but are data: uvicorn's limit for kept connections no longer counts."""
    with closing(connect(hurried)) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = b""
        while b"dead_tasks" not in received:
            received += connection.recv(65_536)
        connection.sendall(b"\r\n")
        connection.settimeout(10)
        assert b" 408 " in connection.recv(65_536)


@pytest.mark.parametrize(
    ("first", "rest"),
    [
        (b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", b""),
        # Answered with 401 before the body came, which comes afterwards.
        (b"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n", b"{}"),
    ],
)
def test_an_idle_connection_is_closed(hurried: ScorerProcess, first: bytes, rest: bytes) -> None:
    with closing(connect(hurried)) as connection:
        connection.sendall(first)
        connection.settimeout(15)
        assert connection.recv(65_536)
        time.sleep(0.5)
        connection.sendall(rest)
        while connection.recv(65_536):
            pass


@pytest.mark.parametrize("kept", ["keep-alive", "close"])
def test_a_client_that_does_not_read_is_cut_off(hurried: ScorerProcess, kept: str) -> None:
    path = "/docs/assets/swagger-ui-bundle.js"
    one = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    last = one.replace(b"localhost", f"localhost\r\nConnection: {kept}".encode())
    with closing(socket.socket()) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", hurried.port))
        connection.sendall(one * 2 + last)
        wait_for(lambda: "a response was not read within" in hurried.log.read_text(), patience=20)
        received = 0
        with suppress(OSError):
            while piece := connection.recv(2**20):
                received += len(piece)
        assert received < 3 * len(hurried.client.get(path).content)


def test_what_is_no_http_is_told_so_in_json(own: ScorerProcess) -> None:
    for sent in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"hello\r\n\r\n"):
        with closing(connect(own)) as connection:
            assert send_all(connection, sent) == (400, "Invalid HTTP request received. Send HTTP/1.1")


def test_few_file_handles_are_logged(own: ScorerProcess) -> None:
    assert own.process
    pid = own.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used, before[1]))
    try:
        wait_for(lambda: '"file handles run out"' in own.log.read_text())
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    wait_for(lambda: '"file handles are free again"' in own.log.read_text())
    assert own.client.get("/livez").status_code == 200


@pytest.mark.parametrize(
    ("limits", "raised"),
    [((256, -1), (WANTED, -1)), ((256, 1_024), (1_024, 1_024)), ((WANTED + 1, -1), None), ((-1, -1), None)],
)
def test_the_limit_of_file_handles_is_raised_and_never_lowered(
    limits: tuple[int, int], raised: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, made: found.append(made))
    raise_limit()
    assert found == ([raised] if raised else [])


@pytest.mark.parametrize(("handles", "most"), [(100, 50), (256, 128), (1_024, 824), (2**20, 10_000), (-1, 10_000)])
def test_connections_leave_handles_for_everything_else(
    handles: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (handles, -1))
    assert http_limits.max_connections() == most


def test_half_sent_requests_give_way_to_new_connections(hurried: ScorerProcess, fresh: Fresh) -> None:
    with ExitStack() as stack:
        held = [stack.enter_context(closing(connect(hurried))) for _ in range(60)]
        for connection in held:
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n")
        hurried.client.close()
        for _ in range(5):
            hurried.__post_init__()
            assert hurried.score(fresh(), fresh(), fresh(), 100, T)["decision"]
            hurried.client.close()
        hurried.__post_init__()
        assert answer_on(held[0])[0] == 503
    wait_for(lambda: '"requests refused"' in hurried.log.read_text())


@pytest.mark.parametrize("path", ["/livez", "/", "/docs", "/nowhere"])
def test_a_body_without_a_key_is_not_read(own: ScorerProcess, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {4 * MEBIBYTE}\r\n\r\n".encode()
    before = memory_of(own)
    with ExitStack() as stack:
        for _ in range(40):
            connection = stack.enter_context(closing(connect(own)))
            connection.settimeout(5)
            with suppress(OSError):
                # All but the last byte.
                connection.sendall(head + b" " * (4 * MEBIBYTE - 1))
        assert memory_of(own) - before < 40 * MEBIBYTE


def test_bodies_under_way_have_a_total(own: ScorerProcess, fresh: Fresh) -> None:
    key = f"X-API-Key: {KEYS['all']}\r\nContent-Type: application/json\r\n"
    head = f"POST /v1/score/batch HTTP/1.1\r\nHost: localhost\r\n{key}Content-Length: {4 * MEBIBYTE}\r\n\r\n".encode()
    refused = 0
    with ExitStack() as stack:
        for _ in range(20):
            connection = stack.enter_context(closing(connect(own)))
            connection.settimeout(1)
            try:
                connection.sendall(head + b" " * (4 * MEBIBYTE - 1))
                received = connection.recv(4_096)
            except OSError:
                continue
            refused += received.startswith(b"HTTP/1.1 503")
        assert refused >= 3
        assert own.score(fresh(), fresh(), fresh(), 100, T)["decision"], "a small body is still served"
    wait_for(lambda: own.score(*(fresh(), fresh(), fresh(), 100, T))["decision"])
    # The total is given back.
    large = json.dumps({"transactions": [body(fresh(), fresh(), fresh(), 100, T) for _ in range(100)]}).encode()
    answer = own.client.post(
        "/v1/score/batch", content=large + b" " * 3 * MEBIBYTE, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 200
