"""Real servers for the tests of every environment, one of each for the session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from demo.embedded_servers import Server, start_postgres, start_valkey
from demo.java import java_home as find_java
from demo.secret_files import read_secret, write_secrets

# Speed belongs in a benchmark: on a busy machine any example can take a second.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def server_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the session's servers keep their data and logs."""
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def secrets_dir(server_folder: Path) -> Path:
    """Every secret file that docs/architecture.md names, matching the servers."""
    write_secrets(server_folder / "secrets")
    return server_folder / "secrets"


@pytest.fixture(scope="session")
def postgres(server_folder: Path, secrets_dir: Path) -> Iterator[Server]:
    """PostgreSQL; `password` is the superuser's."""
    password = read_secret(secrets_dir, "bank_admin_password")
    server = start_postgres(server_folder / "postgres", password, server_folder / "postgres.log")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def valkey_server(server_folder: Path, secrets_dir: Path) -> Iterator[Server]:
    """Valkey."""
    server = start_valkey(
        server_folder / "valkey", read_secret(secrets_dir, "valkey_password"), server_folder / "valkey.log"
    )
    yield server
    server.stop()


@pytest.fixture(scope="session")
def java_home(server_folder: Path) -> Path:
    """A JAVA_HOME for Spark: the installed Java, else the wheel's."""
    return find_java(server_folder / "java")
