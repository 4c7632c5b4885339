"""Bring a database's tables to the newest version, by Alembic: a file in `bank/migrations/` for each change."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import psycopg
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import DBAPIError

from bank.errors import BankError

MIGRATIONS: Final = Path(__file__).parent / "migrations"
Database = Literal["bank", "decisions"]
SCHEMAS: Final[dict[Database, str]] = {"bank": "bank", "decisions": "serving"}
"""The schema of each database that has the tables, and in `alembic_version` their version."""


def upgrade(database: Database, url: str, role: str, password: str) -> None:
    """Upgrade the tables of one database as their owner, all or nothing. Raises `BankError` where they are newer."""
    # By psycopg itself, so that the password is in no address.
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(url, user=role, password=password),
        poolclass=NullPool,
    )
    config = Config()
    for name, folder in (("script_location", MIGRATIONS), ("version_locations", MIGRATIONS / database)):
        config.set_main_option(name, str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    try:
        with engine.begin() as connection:
            config.attributes.update(connection=connection, schema=SCHEMAS[database])
            command.upgrade(config, "head")
    except CommandError as error:
        raise BankError(
            f"the tables of the database {database} have a version unknown to this code ({error}): update the code"
        ) from None
    except DBAPIError as error:
        raise error.orig or error from None
