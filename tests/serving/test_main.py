"""`python -m serving`: its errors when it cannot start, and its exit code."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest

from tests.serving.running import run_serving


def fails(settings: dict[str, str], log: Path) -> str:
    """The error with which it exits with code 1."""
    assert run_serving(settings, log).wait(timeout=30) == 1
    (line,) = log.read_text().splitlines()
    return line


def test_a_port_in_use(settings: dict[str, str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = fails(settings | {"SCORER_PORT": str(port)}, tmp_path / "log")
    assert said.startswith(f"serving: cannot listen on 127.0.0.1 port {port} (Address already in use)")
    assert "SCORER_PORT" in said


def test_an_invalid_host(settings: dict[str, str], tmp_path: Path) -> None:
    assert "SCORER_HOST" in fails(settings | {"SCORER_HOST": "no.such.host.invalid"}, tmp_path / "log")


@pytest.mark.parametrize("name", ["valkey_password", "decisions_password", "api_keys", "model_public_keys"])
def test_a_missing_or_empty_secret(settings: dict[str, str], tmp_path: Path, name: str) -> None:
    folder = tmp_path / "secrets"
    shutil.copytree(settings["SECRETS_DIR"], folder)
    (folder / name).write_text("\n")
    assert str(folder / name) in fails(settings | {"SECRETS_DIR": str(folder)}, tmp_path / "empty")
    (folder / name).unlink()
    # A variable of that name is no substitute: only the file counts.
    missing = settings | {"SECRETS_DIR": str(folder), name.upper(): "[]"}
    assert str(folder / name) in fails(missing, tmp_path / "missing")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("model_public_keys", "c2hvcnQ=", "does not contain public keys of promoted models"),
        ("model_public_keys", "-----BEGIN PUBLIC KEY-----", "does not contain public keys of promoted models"),
        ("mlflow_login", "a password alone", "missing or malformed"),
        ("mlflow_login", ":password", "missing or malformed"),
    ],
)
def test_a_malformed_secret(settings: dict[str, str], tmp_path: Path, name: str, content: str, told: str) -> None:
    folder = tmp_path / "secrets"
    shutil.copytree(settings["SECRETS_DIR"], folder)
    (folder / name).write_text(f"{content}\n")
    said = fails(settings | {"SECRETS_DIR": str(folder)}, tmp_path / "log")
    assert str(folder / name) in said
    assert told in said
    assert content not in said


def test_a_missing_secrets_folder(settings: dict[str, str], tmp_path: Path) -> None:
    said = fails(settings | {"SECRETS_DIR": str(tmp_path / "nowhere")}, tmp_path / "log")
    assert said == f"serving: the secrets folder {tmp_path / 'nowhere'} does not exist: create it, or set SECRETS_DIR"


def test_an_invalid_setting(settings: dict[str, str], tmp_path: Path) -> None:
    said = fails(settings | {"SCORER_PORT": "http"}, tmp_path / "log")
    assert said.startswith("serving: invalid settings: SCORER_PORT: ")
