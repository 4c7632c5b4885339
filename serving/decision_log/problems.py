"""What is wrong with PostgreSQL, and the remedy, in words for `/readyz`: without its own message, which may quote data.

An error that PostgreSQL reports is treated differently from no response, because it points to a remedy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import psycopg
from psycopg import errors

from serving.decision_log.schema import TablesError

Problems = Mapping[type[psycopg.Error], str]
PROBLEMS: Final[Problems] = {
    errors.LockNotAvailable: "a table of the decision log is locked: end the session that locks it",
    errors.ReadOnlySqlTransaction: (
        "PostgreSQL is read-only ({name}): make it writable, or set DECISIONS_URL to the primary"
    ),
    errors.DiskFull: "PostgreSQL has no disk space left ({name}): free some, or enlarge its disk",
    errors.OutOfMemory: "PostgreSQL is out of memory ({name}): give it more",
    errors.TooManyConnections: (
        "PostgreSQL has no connections left ({name}): raise its max_connections, or lower SCORER_DECISIONS_CONNECTIONS"
    ),
    errors.InsufficientResources: "PostgreSQL is short of resources ({name}): see its log",
    errors.ConfigurationLimitExceeded: "PostgreSQL has reached a limit of its configuration ({name}): raise it",
    errors.InsufficientPrivilege: (
        "the role of the decision log lacks a permission ({name}): grant the role scorer all on the schema serving and "
        "its tables"
    ),
    errors.UndefinedTable: "a table of the decision log is missing ({name}): restore it from a backup",
    errors.UndefinedColumn: "a column of the decision log is missing ({name}): restore its table from a backup",
    errors.AdminShutdown: "PostgreSQL is shutting down ({name}): start it again",
    errors.CannotConnectNow: "PostgreSQL is starting ({name}): wait",
}
"""By the class of the error; `name` is the name of its own class."""


class NotWritableError(psycopg.OperationalError):
    """The tables can be read, but not written; says why and what to do."""


def problem_of(error: Exception) -> str:
    """The problem and the remedy, without the error's own message."""
    if isinstance(error, TablesError | NotWritableError):
        return str(error)
    name = type(error).__name__
    for kind, told in PROBLEMS.items():
        if isinstance(error, kind):
            return told.format(name=name)
    if isinstance(error, psycopg.Error) and error.sqlstate and not isinstance(error, psycopg.OperationalError):
        return f"PostgreSQL rejected a statement ({name}): see its log"
    return f"PostgreSQL is not responding ({name}): check DECISIONS_URL, and check that PostgreSQL is running"


def raise_if_unwritable(state: Mapping[str, Any]) -> None:
    """Raise `NotWritableError` for what `queries.WRITABLE` found."""
    if state["standby"]:
        raise NotWritableError("PostgreSQL is a standby or is still recovering: set DECISIONS_URL to the primary")
    if state["read_only"]:
        raise NotWritableError(PROBLEMS[errors.ReadOnlySqlTransaction].format(name="transaction_read_only"))
    if state["missing"]:
        names = ", ".join(f"serving.{name}" for name in state["missing"])
        raise NotWritableError(f"{names} is missing from the decision log: restore it from a backup")
    if state["forbidden"]:
        names = ", ".join(f"serving.{name}" for name in state["forbidden"])
        raise NotWritableError(f"the role scorer may not read and write {names}: grant it ALL on that table")
