"""Create the missing databases and roles, and upgrade the tables: `python -m bank.migrate`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Final, LiteralString
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from bank.runner import run
from bank.schema import decisions_grants_ddl, grants_ddl
from bank.settings import Settings, read_settings
from bank.tables import upgrade

ROLES: Final = {
    "bank_feed": "bank_feed_password",
    "bank_reader": "bank_reader_password",
    "scorer": "decisions_password",
    "decisions_reader": "decisions_reader_password",
}
TENANTS: Final = {"airflow": "airflow_db_password", "mlflow": "mlflow_db_password"}
"""Programs that may have a database on the same server, named after and owned by the program; and their secrets."""


LOCK: Final = 7_240_460
"""An arbitrary advisory lock: two concurrent migrations would create the same role twice."""


def migrate(settings: Settings, tenants: Sequence[str] = ()) -> list[str]:
    """Migrate both databases and those of `tenants`; idempotent. Returns the names of all databases and roles.

    Raises `BankError` for a missing secret, and for tables that are newer than this code.
    """
    password = settings.secret("bank_admin_password")
    bank, decisions = database_of(settings.bank_url), database_of(settings.decisions_url)
    with psycopg.connect(
        in_database(settings.bank_url, "postgres"), user="postgres", password=password, autocommit=True
    ) as admin:
        admin.execute("select pg_advisory_lock(%s)", [LOCK])
        for role, secret in ROLES.items():
            _make_role(admin, role, settings.secret(secret))
        _make_database(admin, bank, "postgres")
        _make_database(admin, decisions, "scorer")
        for database, roles in ((bank, ["bank_feed", "bank_reader"]), (decisions, ["scorer", "decisions_reader"])):
            _admit_only(admin, database, roles)
        for tenant in tenants:
            _make_role(admin, tenant, settings.secret(TENANTS[tenant]))
            _make_database(admin, tenant, tenant)
            _admit_only(admin, tenant, [tenant])
        for default in ("postgres", "template1"):
            _admit_only(admin, default, [])
        # Loading into a source with existing rows needs a temporary table.
        admin.execute(sql.SQL("grant temporary on database {} to bank_feed").format(sql.Identifier(bank)))
        _execute(settings.bank_url, password, ["create schema if not exists bank"])
        upgrade("bank", settings.bank_url, "postgres", password)
        _execute(settings.bank_url, password, grants_ddl())
        _execute(settings.decisions_url, password, ["create schema if not exists serving authorization scorer"])
        upgrade("decisions", settings.decisions_url, "scorer", settings.secret("decisions_password"))
        _execute(settings.decisions_url, password, decisions_grants_ddl())
    databases, roles = [bank, decisions, *tenants], [*ROLES, *tenants]
    return [*(f"database {name}" for name in databases), *(f"role {name}" for name in roles)]


def _execute(url: str, password: str, statements: Sequence[LiteralString]) -> None:
    with psycopg.connect(url, user="postgres", password=password) as connection:
        for statement in statements:
            connection.execute(statement)


def database_of(url: str) -> str:
    """The name of the database in `url`."""
    return urlsplit(url).path.lstrip("/")


def in_database(url: str, database: str) -> str:
    """`url` with another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def _make_role(admin: psycopg.Connection, role: str, password: str) -> None:
    known = admin.execute("select 1 from pg_roles where rolname = %s", [role]).fetchone()
    verb = sql.SQL("alter" if known else "create")
    # Hashed on the client, so that the plain password appears neither in the statement nor in the server's log.
    secret = admin.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    admin.execute(sql.SQL("{} role {} login password {}").format(verb, sql.Identifier(role), sql.Literal(secret)))


def _make_database(admin: psycopg.Connection, database: str, owner: str) -> None:
    if admin.execute("select 1 from pg_database where datname = %s", [database]).fetchone():
        return
    admin.execute(
        sql.SQL("create database {} owner {} encoding 'UTF8' template template0").format(
            sql.Identifier(database), sql.Identifier(owner)
        )
    )


def _admit_only(admin: psycopg.Connection, database: str, roles: list[str]) -> None:
    name = sql.Identifier(database)
    admin.execute(sql.SQL("revoke all on database {} from public").format(name))
    for role in roles:
        admin.execute(sql.SQL("grant connect on database {} to {}").format(name, sql.Identifier(role)))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bank.migrate", description=__doc__)
    parser.add_argument(
        "--tenant", action="append", choices=list(TENANTS), default=[], help="also create a database for this program"
    )
    print(json.dumps({"migrated": migrate(read_settings(), parser.parse_args().tenant)}))


if __name__ == "__main__":
    run(main)
