"""PostgreSQL that answers and takes nothing: `/readyz` says why, and decisions wait and are recorded afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
import valkey
from psycopg import errors

from contracts.online_state import DECISIONS_KEY, META_KEY, RECONCILED, REPORTS_KEY, Stamp
from serving.decision_log.problems import PROBLEMS, NotWritableError, problem_of, raise_if_unwritable
from serving.decision_log.schema import TablesError
from serving.recovery.circuit_breaker import reason
from tests.serving.conftest import Start
from tests.serving.running import ScorerProcess, wait_for

T = 1_535_900_000
NAME = "decisions_in_trouble"
DATABASE = 14
Fresh = Callable[[], int]

FULL = """
create function serving.full() returns trigger language plpgsql as
    $$ begin raise exception using errcode = '{code}', message = 'customer 77 has no room'; end $$;
create trigger full_disk before insert on serving.{table} for each row execute function serving.full()
"""
ROOM = "drop trigger full_disk on serving.{table}; drop function serving.full()"
END_SESSIONS = f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{NAME}' and usename = 'scorer'"
TROUBLES = {
    "read-only": (
        f"alter database {NAME} set default_transaction_read_only = on",
        # The sessions that began meanwhile stay read-only: the scorer must open others.
        f"alter database {NAME} reset default_transaction_read_only",
        "PostgreSQL is read-only",
    ),
    "no disk": (
        FULL.format(code="53100", table="decisions"),
        ROOM.format(table="decisions"),
        "PostgreSQL has no disk space left",
    ),
    "no memory": (
        FULL.format(code="53200", table="decisions"),
        ROOM.format(table="decisions"),
        "PostgreSQL is out of memory",
    ),
    "another refusal": (
        FULL.format(code="P0001", table="decisions"),
        ROOM.format(table="decisions"),
        "PostgreSQL rejected a statement (RaiseException)",
    ),
    "no disk for reports": (
        FULL.format(code="53100", table="fraud_reports"),
        ROOM.format(table="fraud_reports"),
        "PostgreSQL has no disk space left",
    ),
    "no permission": (
        "revoke insert on serving.decisions from scorer",
        "grant insert on serving.decisions to scorer",
        "may not read and write serving.decisions",
    ),
    "no permission for reports": (
        "revoke update on serving.fraud_reports from scorer",
        "grant update on serving.fraud_reports to scorer",
        "may not read and write serving.fraud_reports",
    ),
    "no schema": (
        "revoke usage on schema serving from scorer",
        "grant usage on schema serving to scorer",
        "lacks a permission",
    ),
    "no table": (
        "alter table serving.decisions rename to away",
        "alter table serving.away rename to decisions",
        "serving.decisions is missing",
    ),
    "no table of reports": (
        "alter table serving.fraud_reports rename to away",
        "alter table serving.away rename to fraud_reports",
        "serving.fraud_reports is missing",
    ),
    "no table of what is pending": (
        "alter table serving.unapplied rename to away",
        "alter table serving.away rename to unapplied",
        "serving.unapplied is missing",
    ),
}


@pytest.fixture(scope="module")
def outbox(valkey_server: Any) -> Iterator[Any]:
    with valkey.Valkey(port=valkey_server.port, password=valkey_server.password, db=DATABASE) as client:
        client.flushdb()
        client.hset(META_KEY, mapping=Stamp(written_to="2018-08-31").fields() | {RECONCILED: "1"})
        yield client


@pytest.fixture(scope="module")
def own(start: Start, outbox: Any, postgres: Any, valkey_server: Any, make_database: Any) -> Iterator[ScorerProcess]:
    """A scorer with a decision log of its own."""
    address = f"valkey://127.0.0.1:{valkey_server.port}/{DATABASE}"
    scorer = start(VALKEY_URL=address, DECISIONS_URL=make_database(postgres, NAME))
    yield scorer
    scorer.stop()


@pytest.fixture(scope="module")
def admin(own: ScorerProcess, postgres: Any) -> Iterator[psycopg.Connection[Any]]:
    url = f"postgresql://127.0.0.1:{postgres.port}/{NAME}"
    with psycopg.connect(url, user="postgres", password=postgres.password, autocommit=True) as connection:
        yield connection


def told(scorer: ScorerProcess) -> tuple[bool, str]:
    """Whether `/readyz` says degraded, and what about the decision log."""
    readiness = scorer.client.get("/readyz")
    assert readiness.status_code == 200, "payments are scored with history"
    check = readiness.json()["checks"]["decision_log"]
    assert check["ok"] != readiness.json()["degraded"]
    return readiness.json()["degraded"], check["detail"]


@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_postgresql_refuses_is_said_and_recorded_afterwards(
    own: ScorerProcess, admin: psycopg.Connection[Any], outbox: Any, fresh: Fresh, trouble: str
) -> None:
    broken, restored, words = TROUBLES[trouble]
    wait_for(lambda: not told(own)[0])
    number, customer = fresh(), fresh()
    admin.execute(broken.encode())
    if trouble == "read-only":
        admin.execute(END_SESSIONS.encode())
    try:
        assert not own.score(number, customer, fresh(), 100, T)["degraded"]
        own.report((number, T + 60))
        wait_for(lambda: words in told(own)[1], lambda: str(told(own)))
        assert "decisions wait in the outbox" in told(own)[1]
        assert "customer 77" not in told(own)[1], "no message of the server on a page without a key"
    finally:
        admin.execute(restored.encode())
    wait_for(lambda: not told(own)[0], lambda: str(told(own)))
    wait_for(lambda: not outbox.xlen(DECISIONS_KEY) and not outbox.xlen(REPORTS_KEY))
    for table in ("decisions", "fraud_reports"):
        found = admin.execute(f"select count(*) from serving.{table} where transaction_id = {number}".encode())
        assert found.fetchone() == (1,), table


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"standby": True}, "is a standby or is still recovering: set DECISIONS_URL to the primary"),
        ({"read_only": True}, "PostgreSQL is read-only (transaction_read_only): make it writable"),
        ({"missing": ["unapplied"]}, "serving.unapplied is missing"),
        ({"forbidden": ["decisions", "unapplied"]}, "may not read and write serving.decisions, serving.unapplied"),
    ],
)
def test_what_can_be_told_without_writing(state: dict[str, Any], words: str) -> None:
    whole = {"standby": False, "read_only": False, "missing": [], "forbidden": []}
    raise_if_unwritable(whole)
    with pytest.raises(NotWritableError) as caught:
        raise_if_unwritable(whole | state)
    assert words in problem_of(caught.value)


def test_every_problem_has_a_remedy_and_no_message_of_the_server() -> None:
    for kind in PROBLEMS:
        problem = problem_of(kind("row of customer 77"))
        assert ": " in problem
        assert "77" not in problem
        assert "DECISIONS_URL, and check that PostgreSQL is running" not in problem
    assert problem_of(TablesError("run migrate")) == "run migrate"
    assert "is not responding (OperationalError)" in problem_of(psycopg.OperationalError("no host 77"))
    assert "no disk space" in reason(errors.DiskFull("could not extend file"))
