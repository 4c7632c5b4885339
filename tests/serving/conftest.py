"""One scorer for most tests, on real Valkey and PostgreSQL, and fixtures to start others."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import valkey
from psycopg import sql

from contracts.online_state import META_KEY, Stamp
from contracts.signature import PUBLIC_KEYS
from demo.installation import python_of
from tests.serving.bundles import write_bundle
from tests.serving.registry_stub import RegistryStub
from tests.serving.running import KEYS, ROOT, ScorerProcess
from tests.serving.signing import KEY, public

DATABASE = 9
TEMPLATE = "decisions_migrated"
Start = Callable[..., ScorerProcess]


@pytest.fixture(scope="session")
def secrets(secrets_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scorer's secrets: the servers' passwords, and API keys with several scopes."""
    folder = tmp_path_factory.mktemp("secrets")
    for name in ("valkey_password", "decisions_password"):
        (folder / name).write_text((secrets_dir / name).read_text())
    scopes = {"all": ["score", "report", "read"], "slow": ["read"], "shared": ["read"], "batches": ["score", "report"]}
    rates = {"slow": "3/hour", "shared": "20/hour", "batches": "100/hour"}
    keys = [
        {
            "name": name,
            "sha256": hashlib.sha256(key.encode()).hexdigest(),
            "scopes": scopes.get(name, [name]),
            "rate": rates.get(name),
        }
        for name, key in KEYS.items()
    ]
    (folder / "api_keys").write_text(json.dumps(keys) + "\n")
    (folder / PUBLIC_KEYS).write_text(f"{public(KEY)}\n")
    return folder


@pytest.fixture(scope="session")
def make_database(secrets_dir: Path) -> Callable[[Any, str], str]:
    """Creates a separate decision log on a server with `python -m bank.migrate`; returns its URL."""
    migrated: set[Path] = set()

    def make(server: Any, name: str) -> str:
        address = f"postgresql://127.0.0.1:{server.port}"
        if server.log not in migrated:
            migrate(address, TEMPLATE, secrets_dir)
            migrated.add(server.log)
        # A copy is faster than a migration.
        create_database(server, name, TEMPLATE)
        return f"{address}/{name}"

    return make


def migrate(address: str, decisions: str, secrets: Path) -> None:
    """Create a decision log as an operator does; the command needs the pipeline environment."""
    urls = {"BANK_URL": f"{address}/bank_of_serving", "DECISIONS_URL": f"{address}/{decisions}"}
    done = subprocess.run(
        [str(python_of("pipeline")), "-m", "bank.migrate"],
        env=os.environ | urls | {"SECRETS_DIR": str(secrets), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def create_database(server: Any, name: str, template: str) -> None:
    """Create a scorer database as a copy of another."""
    address = f"postgresql://127.0.0.1:{server.port}"
    with psycopg.connect(address, user="postgres", password=server.password, autocommit=True) as connection:
        names = [sql.Identifier(part) for part in (name, template)]
        connection.execute(sql.SQL("create database {} owner scorer template {}").format(*names))


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryStub]:
    """A registry with a champion."""
    stub = RegistryStub()
    stub.promote(write_bundle(tmp_path_factory.mktemp("bundle")))
    yield stub
    stub.stop()


@pytest.fixture(scope="session")
def settings(
    secrets: Path, postgres: Any, valkey_server: Any, registry: RegistryStub, make_database: Callable[[Any, str], str]
) -> dict[str, str]:
    """The settings of a scorer on the session's servers."""
    return {
        "SECRETS_DIR": str(secrets),
        "DECISIONS_URL": make_database(postgres, "decisions_of_serving"),
        "VALKEY_URL": f"valkey://127.0.0.1:{valkey_server.port}/{DATABASE}",
        "MLFLOW_TRACKING_URI": registry.url,
        "SCORER_POLL_SECONDS": "0.1",
    }


@pytest.fixture(scope="session")
def state(valkey_server: Any) -> Iterator[valkey.Valkey]:
    """The online store, stamped and otherwise empty at the start."""
    with valkey.Valkey(port=valkey_server.port, password=valkey_server.password, db=DATABASE) as client:
        client.flushdb()
        client.hset(META_KEY, mapping=Stamp(written_to="2018-08-31").fields())
        yield client


@pytest.fixture(scope="session")
def started() -> Iterator[list[ScorerProcess]]:
    """The scorers that run only for a test or a module, in order of their start."""
    scorers: list[ScorerProcess] = []
    yield scorers
    end(scorers)


@pytest.fixture(scope="session")
def start(settings: dict[str, str], started: list[ScorerProcess], tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Starts scorers with the session's settings and overrides; they end with the test, or the module's fixture."""

    def begin(ready: bool = True, **other: str) -> ScorerProcess:
        log = tmp_path_factory.mktemp("scorer") / "scorer.log"
        own = {"SCORER_CHAMPION_DIR": str(log.with_name("champion"))}
        started.append(ScorerProcess(settings | own | other, log))
        return started[-1].start(ready)

    return begin


# An idle scorer still costs CPU: it polls the registry, Valkey and PostgreSQL.
@pytest.fixture(scope="module", autouse=True)
def end_with_module(started: list[ScorerProcess]) -> Iterator[None]:
    """Ends the scorers of a module's fixtures."""
    yield
    end(started)
    started.clear()


@pytest.fixture(autouse=True)
def end_with_test(started: list[ScorerProcess]) -> Iterator[None]:
    """Ends the scorers that a test, or a fixture for it alone, started."""
    before = len(started)
    yield
    end(started[before:])
    del started[before:]


def end(scorers: list[ScorerProcess]) -> None:
    """Kill the scorers that still run."""
    for scorer in scorers:
        if scorer.process and scorer.process.poll() is None:
            scorer.kill()


@pytest.fixture(scope="session")
def scorer(start: Start, started: list[ScorerProcess], state: valkey.Valkey) -> Iterator[ScorerProcess]:
    """The scorer that most tests use."""
    assert state.exists(META_KEY)
    shared = start()
    started.remove(shared)
    yield shared
    end([shared])


@pytest.fixture(scope="session")
def decisions(settings: dict[str, str], secrets: Path) -> Iterator[psycopg.Connection[Any]]:
    """A connection to the decision log, as its owner."""
    password = (secrets / "decisions_password").read_text().strip()
    with psycopg.connect(settings["DECISIONS_URL"], user="scorer", password=password, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def fresh() -> Callable[[], int]:
    """Returns numbers unique in the session: ids for payments, customers or terminals."""
    return itertools.count(1_000).__next__
