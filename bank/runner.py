"""What the bank's commands share: one line for a person where something fails."""

from __future__ import annotations

import sys
from collections.abc import Callable

import httpx
import psycopg

from bank.errors import BankError


def run(main: Callable[[], None]) -> None:
    """Run a command; what a person can mend ends it with one line on standard error and exit code 1."""
    try:
        main()
    except BankError as error:
        sys.exit(f"error: {error}")
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        sys.exit("error: the bank's database has no tables yet: run `python -m bank.migrate` first")
    except psycopg.OperationalError as error:
        sys.exit(f"error: the bank's database does not answer (BANK_URL): {_one_line(error)}")
    except httpx.TransportError as error:
        sys.exit(f"error: the scorer does not answer (SCORER_URL): {_one_line(error)}")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
