"""Connections to PostgreSQL over ADBC, which returns Arrow record batches instead of Python rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import adbc_driver_postgresql.dbapi as adbc
from psycopg.conninfo import make_conninfo

from spark_jobs.errors import JobError

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Connection, Cursor

CONNECT_SECONDS = 10


@contextmanager
def connect(url: str, user: str, password: str, variable: str) -> Iterator[Cursor]:
    """A cursor on a read-only snapshot of the database at `url`.

    `variable` is the name of the setting for `url`. Raises `JobError` if the connection or a statement fails.
    """
    try:
        connection = _open(url, user, password)
    except adbc.Error as error:
        raise JobError(
            f"cannot connect to {url} as {user} ({_words(error)}): check {variable} and its secret, then run again"
        ) from None
    with connection, connection.cursor() as cursor:
        try:
            cursor.execute("set transaction isolation level repeatable read, read only")
            yield cursor
        except adbc.Error as error:
            raise JobError(
                f"reading {url} as {user} failed ({_words(error)}): run again; if a table or column is missing, run "
                "`python -m bank.migrate` first"
            ) from None


def _open(url: str, user: str, password: str) -> Connection:
    # The connection string with the password stays in this process and is never written anywhere.
    address = make_conninfo(url, user=user, password=password, connect_timeout=CONNECT_SECONDS)
    connection: Connection = adbc.connect(address)
    return connection


def _words(error: Exception) -> str:
    return " ".join(str(error).replace("[libpq] ", "").split())
