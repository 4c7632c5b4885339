"""The decision log's tables: the scorer creates none, reports what is missing, and resumes once they exist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
import valkey

from contracts.decisions import TABLES_VERSION
from contracts.online_state import META_KEY, RECONCILED, Stamp
from tests.serving.conftest import TEMPLATE, Start, create_database, migrate
from tests.serving.running import ScorerProcess, wait_for

T = 1_535_900_000
DATABASES = iter((0, 12, 15))


@pytest.fixture
def address(valkey_server: Any) -> str:
    """An online store left by an earlier scorer."""
    database = next(DATABASES)
    with valkey.Valkey(port=valkey_server.port, password=valkey_server.password, db=database) as client:
        client.flushdb()
        client.hset(META_KEY, mapping=Stamp(written_to="2018-08-31").fields() | {RECONCILED: "1"})
    return f"valkey://127.0.0.1:{valkey_server.port}/{database}"


def log_check(scorer: ScorerProcess) -> dict[str, Any]:
    found: dict[str, Any] = scorer.client.get("/readyz").json()["checks"]["decision_log"]
    return found


def test_without_tables_it_says_what_to_run_and_creates_none(
    start: Start, address: str, postgres: Any, settings: dict[str, str], secrets_dir: Path
) -> None:
    create_database(postgres, "decisions_without_tables", "template0")
    server = f"postgresql://127.0.0.1:{postgres.port}"
    url = f"{server}/decisions_without_tables"
    # A long timeout, so that a busy machine does not log a timeout first.
    scorer = start(VALKEY_URL=address, DECISIONS_URL=url, SCORER_TIMEOUT_SECONDS="20")
    assert scorer.score(1, 1, 1, 100, T)["decision"]
    wait_for(lambda: "decisions not relayed" in scorer.log.read_text())
    for told in (log_check(scorer)["detail"], scorer.log.read_text()):
        assert "the tables of the decision log are missing: run `python -m bank.migrate`" in told
    with psycopg.connect(url, user="postgres", password=postgres.password, autocommit=True) as admin:
        assert admin.execute("select to_regnamespace('serving')").fetchone() == (None,)
        migrate(server, "decisions_without_tables", secrets_dir)
        wait_for(lambda: log_check(scorer)["ok"])
        wait_for(lambda: admin.execute("select transaction_id from serving.decisions").fetchall() == [(1,)])


@pytest.mark.parametrize(("version", "ok"), [("0000", False), ("9999", True)])
def test_older_tables_are_rejected_and_newer_ones_accepted(
    start: Start, address: str, postgres: Any, settings: dict[str, str], version: str, ok: bool
) -> None:
    create_database(postgres, f"decisions_of_{version}", TEMPLATE)
    url = f"postgresql://127.0.0.1:{postgres.port}/decisions_of_{version}"
    with psycopg.connect(url, user="postgres", password=postgres.password, autocommit=True) as admin:
        admin.execute("update serving.alembic_version set version_num = %s", [version])
    found = log_check(start(VALKEY_URL=address, DECISIONS_URL=url))
    assert found["ok"] == ok
    assert ok or f"of version 0000, and {TABLES_VERSION} is needed: run `python -m bank.migrate`" in found["detail"]
