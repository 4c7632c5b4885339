"""Error handling shared by the bank's commands: expected failures end with a one-line message."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable

import httpx
import psycopg

from bank.errors import BankError, one_line
from contracts.addresses import redact


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
        case psycopg.errors.UndefinedTable() | psycopg.errors.InvalidSchemaName():
            said = "the bank's database has no tables: run `python -m bank.migrate` first"
        case psycopg.errors.UndefinedColumn():
            said = f"the bank's tables are older than this code ({one_line(error)}): run `python -m bank.migrate`"
        case psycopg.OperationalError():
            remedy = "check BANK_URL, and that `python -m bank.migrate` was run"
            said = f"the bank's database does not answer ({one_line(error)}): {remedy}"
        case psycopg.Error():
            said = f"the bank's database reports an error ({one_line(error)}): resolve it, then run this command again"
        case httpx.TransportError() | httpx.InvalidURL():
            said = f"the scorer does not answer ({one_line(error)}): check SCORER_URL, and that it is running"
    return said
