"""Migrations: new and old installations end with the same tables, and old data is kept."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg import sql

from bank.errors import BankError
from bank.migrate import in_database, migrate
from bank.settings import Settings
from bank.tables import MIGRATIONS, SCHEMAS
from contracts.decisions import TABLES_VERSION

HERE = Path(__file__).parent
NUMBERS = count(1)
SHAPE = """
select format('%%s.%%s %%s %%s %%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
    pg_get_expr(d.adbin, d.adrelid))
from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
where c.relkind = 'r' and c.relnamespace = %(schema)s::regnamespace
union all select indexdef from pg_indexes where schemaname = %(schema)s::text
union all select conrelid::regclass || ' ' || pg_get_constraintdef(oid) from pg_constraint
where connamespace = %(schema)s::regnamespace
union all select format('%%s of %%s: %%s', relname, relowner::regrole,
    array(select acl::text from unnest(relacl) acl order by 1))
from pg_class where relkind = 'r' and relnamespace = %(schema)s::regnamespace
order by 1
"""


@pytest.fixture
def new(settings: Settings) -> Settings:
    """Settings for databases that do not exist yet."""
    number = next(NUMBERS)
    names = {"bank_url": f"bank_version_{number}", "decisions_url": f"decisions_version_{number}"}
    return settings.model_copy(update={url: in_database(settings.bank_url, name) for url, name in names.items()})


@pytest.fixture
def legacy(new: Settings, settings: Settings) -> Settings:
    """An installation older than the migrations, with a payment, a report and a decision."""
    with connect(settings, settings.bank_url) as admin:
        for url, owner in ((new.bank_url, "postgres"), (new.decisions_url, "scorer")):
            name = sql.Identifier(url.rpartition("/")[2])
            admin.execute(sql.SQL("create database {} owner {}").format(name, sql.Identifier(owner)))
    with connect(new, new.bank_url) as bank:
        bank.execute((HERE / "legacy_bank_schema.sql").read_bytes())
        bank.execute(
            "insert into bank.transactions (source, source_row, transaction_id, arrived_at) values ('t', 1, 7, now())"
        )
        bank.execute(
            "insert into bank.fraud_reports (source, source_row, arrived_at, pattern) values ('t', 1, now(), 2)"
        )
    with connect(new, new.decisions_url, "scorer", "decisions_password") as scorer:
        scorer.execute((HERE / "legacy_decisions_schema.sql").read_bytes())
        scorer.execute(
            "insert into serving.decisions "
            "values (7, 1, 1, 9.5, now(), .5, 'review', '[]', '1', true, '{}', '3', 0, now())"
        )
        scorer.execute("insert into serving.unapplied values (7)")
    return new


def connect(
    settings: Settings, url: str, role: str = "postgres", secret: str = "bank_admin_password"
) -> psycopg.Connection[Any]:
    return psycopg.connect(url, user=role, password=settings.secret(secret), autocommit=True)


def shapes(settings: Settings) -> list[list[str]]:
    """Columns, indexes, constraints, owners and grants of both databases, as text."""
    found = []
    for url, schema in ((settings.bank_url, "bank"), (settings.decisions_url, "serving")):
        with connect(settings, url) as connection:
            found.append([row[0] for row in connection.execute(SHAPE, {"schema": schema})])
    return found


def test_an_old_installation_gets_the_new_tables_and_keeps_its_data(settings: Settings, legacy: Settings) -> None:
    migrate(legacy)
    assert shapes(legacy) == shapes(settings)
    with connect(legacy, legacy.bank_url) as bank:
        assert bank.execute("select transaction_id from bank.transactions").fetchall() == [(7,)]
        assert bank.execute("select pattern from bank.fraud_reports").fetchall() == [(2,)]
    with connect(legacy, legacy.decisions_url, "scorer", "decisions_password") as scorer:
        query = "select transaction_id, decision from serving.decisions join serving.unapplied using (transaction_id)"
        assert scorer.execute(query).fetchall() == [(7, "review")]
    with connect(legacy, legacy.decisions_url, "decisions_reader", "decisions_reader_password") as reader:
        assert reader.execute("select count(*) from serving.decisions").fetchone() == (1,)


def test_sources_that_landed_before_are_numbered_in_the_order_of_their_rows(legacy: Settings) -> None:
    with connect(legacy, legacy.bank_url) as bank:
        for row, source in enumerate(["z", "a", "z", "m", "a"]):
            values = [source, row]
            bank.execute(
                "insert into bank.transactions (source, source_row, arrived_at) values (%s, %s, now())", values
            )
    migrate(legacy)
    with connect(legacy, legacy.bank_url) as bank:
        found = bank.execute("select source from bank.sources order by number").fetchall()
    assert [source for (source,) in found] == ["t", "z", "a", "m"]


def test_concurrent_migrations_take_turns(new: Settings) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: migrate(new), range(4)))
    assert done == [migrate(new)] * 4


def test_a_repeated_migration_does_not_wait_for_writers_of_decisions(
    new: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(new)
    monkeypatch.setenv("PGOPTIONS", "-c lock_timeout=1s")
    with connect(new, new.decisions_url, "scorer", "decisions_password") as scorer, scorer.transaction():
        scorer.execute("lock table serving.decisions, serving.unapplied in row exclusive mode")
        migrate(new)


def test_a_migration_that_fails_changes_nothing(legacy: Settings) -> None:
    with connect(legacy, legacy.decisions_url) as admin:
        # A conflict with what the migration creates.
        admin.execute("drop table serving.unapplied; create type serving.unapplied as enum ()")
    with pytest.raises(psycopg.errors.DuplicateObject):
        migrate(legacy)
    with connect(legacy, legacy.decisions_url) as admin:
        assert admin.execute("select to_regclass('serving.alembic_version')").fetchone() == (None,)


def test_tables_newer_than_the_code_are_not_changed(new: Settings) -> None:
    migrate(new)
    with connect(new, new.decisions_url) as admin:
        admin.execute("update serving.alembic_version set version_num = '9999'")
    with pytest.raises(BankError, match=r"database decisions have a version unknown to this code .*'9999'"):
        migrate(new)


@pytest.mark.parametrize("database", SCHEMAS)
def test_versions_sort_as_text_and_the_scorer_needs_the_newest(database: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("version_locations", str(MIGRATIONS / database))
    config.set_main_option("path_separator", "newline")
    newest_first = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert newest_first == [f"{n:04}" for n in range(len(newest_first), 0, -1)]
    assert database == "bank" or newest_first[0] == TABLES_VERSION
