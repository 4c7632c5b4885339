"""The tables of the decision log: `python -m bank.migrate` creates them, never the scorer."""

from __future__ import annotations

from typing import Any, Final

from psycopg import AsyncConnection, OperationalError
from psycopg.errors import InvalidSchemaName, UndefinedTable

from contracts.decisions import TABLES_VERSION

_VERSION: Final = "select version_num as version from serving.alembic_version"


class TablesError(OperationalError):
    """The tables are missing, or older than this code; says what to run."""


async def check_tables(connection: AsyncConnection[dict[str, Any]]) -> None:
    """Raise `TablesError` unless the tables are of the version that this code needs, or of a later one."""
    try:
        row = await (await connection.execute(_VERSION)).fetchone()
    except (UndefinedTable, InvalidSchemaName):
        row = None
    found = row["version"] if row else None
    if found is None:
        raise TablesError("the tables of the decision log are missing: run `python -m bank.migrate`")
    if found < TABLES_VERSION:
        raise TablesError(
            f"the tables of the decision log are of version {found}, and {TABLES_VERSION} is needed: "
            "run `python -m bank.migrate`"
        )
