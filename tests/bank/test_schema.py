"""The bank's tables match the contract, and each role has only the rights it needs."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from bank.errors import BankError
from bank.migrate import in_database, migrate
from bank.settings import Settings
from contracts.transaction import ANALYSIS_FIELDS, REPORT_FIELDS, TRANSACTION_FIELDS

DATA_TYPES = {"id": "bigint", "amount": "numeric", "instant": "timestamp with time zone", "code": "bigint"}
NOON = datetime(2025, 3, 5, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("table", "fields"),
    [("transactions", TRANSACTION_FIELDS), ("fraud_reports", (*REPORT_FIELDS, *ANALYSIS_FIELDS))],
)
def test_the_table_has_the_contract_s_fields_and_requires_none(
    admin: psycopg.Connection, table: str, fields: tuple[object, ...]
) -> None:
    query = "select column_name, data_type, is_nullable from information_schema.columns where table_name = %s"
    found = {name: (kind, nullable) for name, kind, nullable in admin.execute(query, [table]).fetchall()}
    for field in fields:
        assert found[field.name] == (DATA_TYPES[field.kind], "YES")  # type: ignore[attr-defined]
    assert set(found) == {field.name for field in fields} | {"source", "source_row", "arrived_at", "day"}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("occurred", "day"),
    [
        (NOON, date(2025, 3, 5)),
        (NOON - timedelta(days=3), date(2025, 3, 2)),
        (NOON + timedelta(minutes=5), date(2025, 3, 5)),
        (NOON + timedelta(days=900), date(2025, 3, 5)),
        (NOON + timedelta(hours=12, minutes=5), date(2025, 3, 5)),
        (datetime(1969, 12, 31, 23, tzinfo=UTC), date(2025, 3, 5)),
        ("infinity", date(2025, 3, 5)),
        (None, date(2025, 3, 5)),
        (datetime.fromisoformat("2025-03-05T00:30:00+02:00"), date(2025, 3, 4)),
    ],
)
def test_a_row_s_day_is_that_of_its_time_or_else_of_its_arrival(
    bank: psycopg.Connection, occurred: object, day: date
) -> None:
    insert = "insert into bank.transactions (source, source_row, occurred_at, arrived_at) values ('t', 1, %s, %s)"
    found = bank.execute(f"{insert} returning day", [occurred, NOON]).fetchone()
    assert found == (day,)


@pytest.mark.parametrize(("ahead", "day"), [(300, date(2025, 3, 6)), (301, date(2025, 3, 5))])
def test_a_clock_five_minutes_ahead_is_tolerated(bank: psycopg.Connection, ahead: int, day: date) -> None:
    arrived = datetime(2025, 3, 5, 23, 59, tzinfo=UTC)
    insert = "insert into bank.transactions (source, source_row, occurred_at, arrived_at) values ('t', 1, %s, %s)"
    found = bank.execute(f"{insert} returning day", [arrived + timedelta(seconds=ahead), arrived]).fetchone()
    assert found == (day,)


def test_migrating_again_changes_nothing(settings: Settings, bank: psycopg.Connection) -> None:
    bank.execute("insert into bank.transactions (source, source_row, arrived_at) values ('t', 1, now())")
    bank.commit()
    assert migrate(settings) == migrate(settings)
    assert bank.execute("select count(*) from bank.transactions").fetchone() == (1,)


def test_a_repeated_migration_does_not_wait_for_readers(
    settings: Settings, bank: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ingest reads in a long transaction."""
    monkeypatch.setenv("PGOPTIONS", "-c lock_timeout=1s")
    bank.execute("select count(*) from bank.transactions, bank.fraud_reports")
    assert migrate(settings)


@pytest.mark.parametrize(
    ("role", "secret", "statement"),
    [
        ("bank_feed", "bank_feed_password", "delete from bank.transactions"),
        ("bank_feed", "bank_feed_password", "update bank.transactions set amount = 0"),
        ("bank_feed", "bank_feed_password", "create table bank.mine ()"),
        ("bank_reader", "bank_reader_password", "insert into bank.fraud_reports values ('t', 1)"),
        ("bank_reader", "bank_reader_password", "create table public.mine ()"),
    ],
)
def test_a_role_has_only_its_own_rights(settings: Settings, role: str, secret: str, statement: str) -> None:
    with psycopg.connect(settings.bank_url, user=role, password=settings.secret(secret)) as connection:
        connection.execute("select count(*) from bank.transactions")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.encode())


def test_the_decisions_reader_may_only_read(settings: Settings) -> None:
    """Also in a table that the scorer creates after the migration."""
    with psycopg.connect(
        settings.decisions_url, user="scorer", password=settings.secret("decisions_password"), autocommit=True
    ) as owner:
        owner.execute("drop table if exists serving.decisions cascade")
        owner.execute("create table serving.decisions (transaction_id bigint)")
    password = settings.secret("decisions_reader_password")
    with psycopg.connect(settings.decisions_url, user="decisions_reader", password=password) as reader:
        assert reader.execute("select count(*) from serving.decisions").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("delete from serving.decisions")


def test_a_tenant_owns_its_database(settings: Settings, postgres: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "mlflow_db_password", SecretStr("tenant's own"))
    assert {"database mlflow", "role mlflow"} <= set(migrate(settings, ["mlflow"]))
    server = f"postgresql://127.0.0.1:{postgres.port}"
    with psycopg.connect(f"{server}/mlflow", user="mlflow", password="tenant's own") as tenant:
        tenant.execute("create table mine ()")
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(settings.bank_url, user="mlflow", password="tenant's own")
    with pytest.raises(BankError, match="airflow_db_password is missing"):
        migrate(settings, ["airflow"])


def test_a_role_can_connect_only_to_its_own_database(settings: Settings) -> None:
    for url, role, secret in (
        (settings.bank_url, "scorer", "decisions_password"),
        (settings.decisions_url, "bank_feed", "bank_feed_password"),
        (in_database(settings.bank_url, "postgres"), "scorer", "decisions_password"),
        (in_database(settings.bank_url, "template1"), "bank_reader", "bank_reader_password"),
    ):
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(url, user=role, password=settings.secret(secret))
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(settings.bank_url, user="bank_feed", password="wrong")
