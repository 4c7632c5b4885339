"""What one client, or many connections without a key, can make a worker hold or do. Raw sockets, as in attacks."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest

from serving.__main__ import BUFFER_BYTES
from serving.middleware import http_limits
from serving.middleware.http_limits import MAX_CHUNKS, MAX_HEAD_BYTES, MAX_PIPELINED, MAX_PIPELINED_WITHOUT_KEY
from tests.serving.running import KEYS, ScorerProcess, body, wait_for
from tests.serving.test_http_limits import MEBIBYTE, connect, memory_of, send_all

T = 1_536_500_000
Fresh = Callable[[], int]
GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
CHUNKED = b"POST %s HTTP/1.1\r\nHost: localhost\r\n%sTransfer-Encoding: chunked\r\n\r\n"
KEY = f"X-API-Key: {KEYS['all']}\r\nContent-Type: application/json\r\n".encode()


@pytest.fixture(scope="module")
def hurried(
    start: Callable[..., ScorerProcess], state: object, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ScorerProcess]:
    """A scorer with short limits, and room for twenty connections."""
    folder = tmp_path_factory.mktemp("hurried")
    (folder / "sitecustomize.py").write_text(
        "from serving.middleware import http_limits as limits\n"
        "limits.HEAD_SECONDS = limits.READ_SECONDS = 2\nlimits.BODY_SECONDS = 3\nlimits.LINGER_SECONDS = 0.5\n"
        "limits.SWEEP_SECONDS = 0.5\nlimits.LimitedHttpProtocol.max_connections = 20\n"
    )
    scorer = start(PYTHONPATH=f"{folder}:{Path(http_limits.__file__).parents[2]}")
    yield scorer
    scorer.stop()


def read(connection: socket.socket, seconds: float = 10) -> bytes:
    """All that comes until the end or until nothing comes."""
    connection.settimeout(seconds)
    received = b""
    with suppress(OSError):
        while piece := connection.recv(65_536):
            received += piece
    return received


def scores(scorer: ScorerProcess, fresh: Fresh) -> bool:
    """Whether a payment is scored over a new connection."""
    scorer.client.close()
    scorer.__post_init__()
    return "decision" in scorer.score(fresh(), fresh(), fresh(), 100, T)


def test_requests_that_do_not_wait_for_responses_are_refused(hurried: ScorerProcess, fresh: Fresh) -> None:
    before = memory_of(hurried)
    with closing(connect(hurried)) as connection, suppress(OSError):
        connection.settimeout(0.5)
        for _ in range(50):
            connection.sendall(GET * 10_000)
    assert scores(hurried, fresh)
    assert memory_of(hurried) - before < 20 * MEBIBYTE


def test_the_refusal_of_pipelined_requests_says_why(hurried: ScorerProcess) -> None:
    for key, most in ((b"", MAX_PIPELINED_WITHOUT_KEY), (KEY, MAX_PIPELINED)):
        for number in (most + 10, most):
            with closing(connect(hurried)) as connection:
                # The first request is complete before the others come.
                connection.sendall(b"GET /v1/model HTTP/1.1\r\nHost: localhost\r\n" + key + b"\r\n")
                assert read(connection, 1).startswith(b"HTTP/1.1 200" if key else b"HTTP/1.1 401")
                connection.sendall(GET * number)
                received = read(connection, 1)
            if number == most:
                assert received.count(b"HTTP/1.1 200") == most
            else:
                assert received.startswith(b"HTTP/1.1 429")
                assert f"more than {most} requests wait".encode() in received


def test_waiting_requests_share_the_limit_of_one_head(hurried: ScorerProcess) -> None:
    one = GET[:-2] + b"X: " + b"x" * (MAX_HEAD_BYTES // 2) + b"\r\n\r\n"
    with closing(connect(hurried)) as connection:
        connection.sendall(one * 3)
        status, detail = send_all(connection)
    assert status == 431
    assert "requests that wait" in detail


TINY = b"a:b\r\n"


@pytest.mark.parametrize("part", ["head", "trailers"])
def test_tiny_headers_are_refused_before_the_head_is_complete(hurried: ScorerProcess, part: str) -> None:
    begin = GET[:-2] if part == "head" else CHUNKED % (b"/v1/score", KEY) + b"2\r\n{}\r\n0\r\n"
    before = memory_of(hurried)
    with ExitStack() as stack:
        for _ in range(15):
            connection = stack.enter_context(closing(connect(hurried)))
            # No more than the bytes of one head, and no end.
            connection.sendall(begin + TINY * ((MAX_HEAD_BYTES - len(begin)) // len(TINY)))
            assert send_all(connection)[0] == 431
    assert memory_of(hurried) - before < 4 * MEBIBYTE


OFFERS = {
    "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
    "websocket": b"Connection: upgrade\r\nUpgrade: websocket\r\n",
}
SMUGGLED = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("apart", [False, True])
def test_a_body_after_an_upgrade_is_never_a_request(
    hurried: ScorerProcess, offer: str, framing: str, apart: bool
) -> None:
    size = b"Content-Length: %d\r\n" % len(SMUGGLED) if framing == "length" else b"Transfer-Encoding: chunked\r\n"
    with closing(connect(hurried)) as connection:
        connection.sendall(b"POST /v1/score HTTP/1.1\r\nHost: localhost\r\n" + KEY + OFFERS[offer] + size + b"\r\n")
        if apart:
            time.sleep(0.2)
        with suppress(OSError):
            connection.sendall(SMUGGLED * 2)
        received = read(connection, 5)
    assert received.startswith(b"HTTP/1.1 501")
    assert b"Upgrade and CONNECT are not supported" in received
    assert received.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("apart", [False, True])
def test_an_upgrade_is_ignored_and_ends_the_connection(hurried: ScorerProcess, offer: str, apart: bool) -> None:
    with closing(connect(hurried)) as connection:
        connection.sendall(GET[:-2] + OFFERS[offer] + b"\r\n" + (b"" if apart else SMUGGLED))
        if apart:
            with suppress(OSError):
                connection.sendall(SMUGGLED)
        received = read(connection, 5)
    assert received.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in received
    assert received.count(b"HTTP/1.1") == 1


def test_connect_is_not_supported(hurried: ScorerProcess) -> None:
    with closing(connect(hurried)) as connection:
        connection.sendall(b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n" + SMUGGLED)
        received = read(connection, 5)
    assert received.startswith(b"HTTP/1.1 501")
    assert received.count(b"HTTP/1.1") == 1


def test_a_trailer_is_not_a_header(hurried: ScorerProcess, fresh: Fresh) -> None:
    content = json.dumps(body(fresh(), fresh(), fresh(), 100, T)).encode()
    request = CHUNKED % (b"/v1/score", b"Content-Type: application/json\r\n")
    request += b"%x\r\n%s\r\n0\r\n%s\r\n" % (len(content), content, KEY)
    with closing(connect(hurried)) as connection:
        connection.sendall(request)
        assert read(connection, 1).startswith(b"HTTP/1.1 401")


ENDLESS = {
    "a trailer": (b"0\r\nX: ", b"x" * MEBIBYTE, 431),
    "trailers": (b"0\r\n", b"a:b\r\n" * 100_000, 431),
    "a chunk extension": (b"1;x=", b"x" * MEBIBYTE, 431),
    "chunks of a byte": (b"", b"1\r\n \r\n" * 100_000, 400),
}


@pytest.mark.parametrize("case", ENDLESS)
def test_what_surrounds_a_body_is_limited(hurried: ScorerProcess, fresh: Fresh, case: str) -> None:
    start, piece, status = ENDLESS[case]
    with closing(connect(hurried)) as connection:
        found, _ = send_all(connection, CHUNKED % (b"/v1/score/batch", KEY) + start, *[piece] * 20)
    assert found == status
    assert scores(hurried, fresh)


def test_a_body_in_many_chunks_is_read(hurried: ScorerProcess, fresh: Fresh) -> None:
    content = json.dumps({"transactions": [body(fresh(), 1, 1, 100, T)]}).encode().ljust(MAX_CHUNKS - 1)
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in content)
    with closing(connect(hurried)) as connection:
        connection.sendall(CHUNKED % (b"/v1/score/batch", KEY) + chunks + b"0\r\n\r\n")
        assert read(connection, 1).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 99999999999\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n7fffffff\r\n"]
)
def test_a_body_is_not_read_long_after_its_response(hurried: ScorerProcess, framing: bytes) -> None:
    began = time.monotonic()
    with closing(connect(hurried)) as connection, suppress(OSError):
        connection.sendall(b"POST /v1/score HTTP/1.1\r\nHost: localhost\r\n" + framing)
        while time.monotonic() - began < 10:
            connection.sendall(b"x" * MEBIBYTE)
    # `LINGER_SECONDS`, rather than `BODY_SECONDS`.
    assert time.monotonic() - began < 2


def test_a_connection_can_be_used_after_a_small_body_was_not_needed(hurried: ScorerProcess) -> None:
    with closing(connect(hurried)) as connection:
        connection.sendall(b"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000\r\n\r\n")
        assert read(connection, 0.5).startswith(b"HTTP/1.1 401")
        connection.sendall(b" " * 50_000 + GET)
        assert read(connection, 1).startswith(b"HTTP/1.1 200")


def test_an_empty_line_does_not_keep_a_connection(hurried: ScorerProcess) -> None:
    with closing(connect(hurried)) as connection:
        connection.sendall(GET)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
        connection.sendall(b"\r\n")
        began = time.monotonic()
        assert b" 408 " in read(connection, 15)
        assert time.monotonic() - began < 10


def greedy(scorer: ScorerProcess) -> socket.socket:
    """A connection whose client asks for more than the network's buffers hold, and does not read it."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    connection.settimeout(5)
    connection.connect(("127.0.0.1", scorer.port))
    connection.sendall(b"GET /docs/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
    return connection


def handles_of(scorer: ScorerProcess) -> int:
    assert scorer.process
    return len(list(Path(f"/proc/{scorer.process.pid}/fd").iterdir()))


def test_responses_that_are_not_read_take_one_handle_each_and_end(hurried: ScorerProcess, fresh: Fresh) -> None:
    assert scores(hurried, fresh)
    before = handles_of(hurried)
    with ExitStack() as stack:
        for _ in range(15):
            stack.enter_context(closing(greedy(hurried)))
        time.sleep(0.5)
        assert handles_of(hurried) - before <= 16
        time.sleep(4)
        assert handles_of(hurried) - before <= 1


@pytest.mark.parametrize("kind", ["not read", "kept", "half-sent", "refused"])
def test_connections_without_a_key_give_way(hurried: ScorerProcess, fresh: Fresh, kind: str) -> None:
    sent = {"kept": GET, "half-sent": GET[:-2], "refused": b"\x16\x03\x01\r\n"}
    with ExitStack() as stack:
        for _ in range(60):
            with suppress(OSError):
                connection = stack.enter_context(closing(greedy(hurried) if kind == "not read" else connect(hurried)))
                connection.sendall(sent.get(kind, b""))
        for _ in range(5):
            assert scores(hurried, fresh)


def test_idle_connections_with_a_key_give_way_too(hurried: ScorerProcess, fresh: Fresh) -> None:
    with ExitStack() as stack:
        for _ in range(20):
            connection = stack.enter_context(closing(connect(hurried)))
            connection.sendall(b"GET /v1/model HTTP/1.1\r\nHost: localhost\r\n" + KEY + b"\r\n")
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
        assert scores(hurried, fresh)


@pytest.mark.parametrize("name", ["slow", "all"])
def test_the_connections_of_one_key_give_way_to_those_of_others(
    hurried: ScorerProcess, fresh: Fresh, name: str
) -> None:
    """Of a key that is over its rate, and of one without a rate: a request whose body does not come, on each."""
    path = "/v1/decisions/1" if name == "slow" else "/v1/score"
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEYS[name]}\r\nContent-Length: 60000\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(60):
            with suppress(OSError):
                connection = stack.enter_context(closing(connect(hurried)))
                connection.sendall(head.encode() + b" ")
        time.sleep(0.5)
        payment = json.dumps(body(fresh(), fresh(), fresh(), 100, T)).encode()
        kind = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(payment)
        for _ in range(5):
            with closing(connect(hurried)) as connection:
                connection.sendall(
                    b"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nX-API-Key: key-score\r\n" + kind + payment
                )
                assert connection.recv(65_536).startswith(b"HTTP/1.1 200")


def test_what_is_not_http_is_refused_in_json_and_logged_by_number(hurried: ScorerProcess) -> None:
    for _ in range(20):
        with closing(connect(hurried)) as connection:
            status, detail = send_all(connection, b"\x16\x03\x01 TLS\r\n\r\n")
            assert (status, "Send HTTP/1.1" in detail) == (400, True)
        with closing(connect(hurried)) as connection:
            connection.sendall(GET[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            assert read(connection, 0.1).startswith(b"HTTP/1.1 200")
    assert "uvicorn.error" not in "".join(line for line in hurried.log.read_text().splitlines() if "warning" in line)


def test_what_costs_to_parse_and_is_of_no_use_is_limited_or_dropped(hurried: ScorerProcess) -> None:
    with closing(connect(hurried)) as connection:
        connection.sendall(GET.replace(b"/livez", b"/livez?" + b"a=1&" * 65))
        status, detail = send_all(connection)
    assert (status, detail) == (414, "the query is longer than 256 bytes")
    with closing(connect(hurried)) as connection:
        connection.sendall(GET.replace(b"/livez", b"/livez?" + b"a=1&" * 64))
        assert read(connection, 1).startswith(b"HTTP/1.1 200")


def test_buffers_of_the_system_are_small(hurried: ScorerProcess) -> None:
    """Of a response that is not read, and of a request that is not, the system keeps no megabytes."""
    with closing(greedy(hurried)) as connection:
        wait_for(lambda: unread_by(hurried, connection) > 0)
        time.sleep(0.5)
        assert unread_by(hurried, connection) <= 4 * BUFFER_BYTES


def unread_by(scorer: ScorerProcess, connection: socket.socket) -> int:
    """Bytes in the scorer's send buffer for this connection, as the system counts them."""
    ends = tuple(f":{port:04X}" for port in (scorer.port, connection.getsockname()[1]))
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        if local.endswith(ends[0]) and remote.endswith(ends[1]):
            return int(queues.partition(":")[0], 16)
    return 0
