"""Error handling shared by the bank's commands: expected failures end with a one-line message."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Final

import httpx
import psycopg
from psycopg import errors

from bank.errors import BankError, one_line
from contracts.addresses import redact

READ_ONLY: Final = (
    "is read-only: make it writable, or set BANK_URL to the primary if it is a standby, then run this command again"
)
REFUSALS: Final[Mapping[type[psycopg.Error], str]] = {
    errors.ReadOnlySqlTransaction: READ_ONLY,
    errors.DiskFull: "has no disk space left: free some, or enlarge its disk, then run this command again",
    errors.OutOfMemory: "is out of memory: give it more, then run this command again",
    errors.TooManyConnections: "has no connections left: raise its max_connections, or end other sessions",
    errors.InsufficientPrivilege: (
        "does not permit this: run `python -m bank.migrate`, which grants the roles what they need, then run this "
        "command again"
    ),
    errors.LockNotAvailable: "has a locked table: end the session that locks it, then run this command again",
    errors.CannotConnectNow: "is starting, or shutting down: wait, then run this command again",
    errors.AdminShutdown: "was shut down: start it, then run this command again",
}
"""What the database answers although it is there, by the class of the error; and the remedy."""


def run(main: Callable[[], None]) -> None:
    """Run a command; a user-fixable error ends it with one line on standard error and exit code 1."""
    try:
        main()
    except Exception as error:
        sys.exit(redact(f"error: {said}" if (said := _fixable(error)) else traceback.format_exc()))


def _fixable(error: Exception) -> str:
    """What a user can do about an error; empty if it is not expected."""
    said = ""
    match error:
        case BankError():
            said = str(error)
        case errors.UndefinedTable() | errors.InvalidSchemaName():
            said = (
                "the bank's database has no tables: run `python -m bank.migrate` first; if it has some, and one is "
                "missing, restore it from a backup"
            )
        case errors.UndefinedColumn():
            said = f"the bank's tables are older than this code ({one_line(error)}): run `python -m bank.migrate`"
        case psycopg.Error() if refusal := next((REFUSALS[kind] for kind in REFUSALS if isinstance(error, kind)), ""):
            said = f"the bank's database {refusal} ({one_line(error)})"
        case psycopg.OperationalError():
            remedy = "check BANK_URL, and that `python -m bank.migrate` was run"
            said = f"the bank's database is not responding ({one_line(error)}): {remedy}"
        case psycopg.Error():
            said = f"the bank's database reports an error ({one_line(error)}): resolve it, then run this command again"
        case httpx.TransportError() | httpx.InvalidURL():
            said = f"the scorer is not responding ({one_line(error)}): check SCORER_URL, and that it is running"
    return said
