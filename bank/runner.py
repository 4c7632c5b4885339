"""Error handling shared by the bank's commands: expected failures end with a one-line message."""

from __future__ import annotations

import sys
from collections.abc import Callable

import httpx
import psycopg

from bank.errors import BankError, one_line


def run(main: Callable[[], None]) -> None:
    """Run a command; a user-fixable error ends it with one line on standard error and exit code 1."""
    try:
        main()
    except BankError as error:
        sys.exit(f"error: {error}")
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        sys.exit("error: the bank's database has no tables: run `python -m bank.migrate` first")
    except psycopg.errors.UndefinedColumn as error:
        sys.exit(f"error: the bank's tables are older than this code ({one_line(error)}): run `python -m bank.migrate`")
    except psycopg.OperationalError as error:
        remedy = "check BANK_URL, and that `python -m bank.migrate` was run"
        sys.exit(f"error: the bank's database does not answer ({one_line(error)}): {remedy}")
    except psycopg.Error as error:
        sys.exit(
            f"error: the bank's database reports an error ({one_line(error)}): resolve it, then run this command again"
        )
    except (httpx.TransportError, httpx.InvalidURL) as error:
        sys.exit(f"error: the scorer does not answer ({one_line(error)}): check SCORER_URL, and that it is running")
