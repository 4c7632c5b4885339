"""Forget one customer in the decision log and in the online store: `python -m serving.erase --customer ID`.

It is safe to run again, and works while scorers run. They keep responses and reports in memory until these are
recorded, so it waits before it removes what is younger. docs/operations.md says what else to run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from contextlib import aclosing
from typing import Any, Final

import psycopg
from valkey.exceptions import ValkeyError

from contracts.transaction import MAX_ID
from serving.decision_log.erasure import LogErasure, open_log
from serving.decision_log.outbox_relay import reason_of
from serving.decision_log.problems import problem_of
from serving.errors import SettingsError
from serving.online_store.connection import connect
from serving.online_store.erasure import Place, StoreErasure
from serving.settings import Secrets, Settings, read_secrets, read_settings

PASSES: Final = 4
"""The second finds nothing, except of what was under way during the first."""
RELAY_SECONDS: Final = 10.0
"""How long the relays may take to record what waits; longer means that no scorer runs, or that it cannot."""
CONFIRM_SECONDS: Final = 3.0
"""A scorer asks once a second what is recorded, and then no longer keeps it."""
POLL_SECONDS: Final = 0.2
TIMEOUT_SECONDS: Final = 10.0
NOTHING: Final = (
    "decisions", "fraud_reports", "pending_backfill", "history_entries", "terminal_entries", "index_entries",
    "responses", "outbox_entries",
)  # fmt: skip


async def erase(store: StoreErasure, log: LogErasure) -> dict[str, int]:
    """Remove everything of the customer; how much of each kind there was, and how many payments are left."""
    removed, seen = Counter[str](), set[Place]()
    for _ in range(PASSES):
        if found := await _payments(store, log):
            await _wait_until_recorded(store, found)
        # Those of the passes before as well: a report does not name the customer.
        seen |= found | await _payments(store, log)
        # The log first: recovery of the online store reads it.
        now = await log.forget(seen) + await store.forget(seen)
        removed += now
        if not now:
            break
    return dict.fromkeys(NOTHING, 0) | dict(removed) | {"left": len(await _payments(store, log))}


async def _payments(store: StoreErasure, log: LogErasure) -> set[Place]:
    return await store.payments() | await log.payments()


async def _wait_until_recorded(store: StoreErasure, payments: set[Place]) -> None:
    """Wait until no scorer keeps in memory what it would record again."""
    end = time.monotonic() + RELAY_SECONDS
    while time.monotonic() < end and await store.is_waiting(payments):
        await asyncio.sleep(POLL_SECONDS)
    await asyncio.sleep(CONFIRM_SECONDS)


async def run(settings: Settings, secrets: Secrets, customer_id: int) -> dict[str, Any]:
    """Connect and erase. Raises `psycopg.Error` and `ValkeyError`."""
    began = time.monotonic()
    client = connect(settings.valkey_url, secrets.valkey_password.get_secret_value(), TIMEOUT_SECONDS)
    password = secrets.decisions_password.get_secret_value()
    async with aclosing(client), open_log(settings.decisions_url, password, TIMEOUT_SECONDS) as connection:
        found = await erase(StoreErasure(client, customer_id), LogErasure(connection, customer_id))
    return found | {"seconds": round(time.monotonic() - began, 2)}


def main() -> int:
    """The command; returns the exit code. Its last line is JSON."""
    parser = argparse.ArgumentParser(prog="python -m serving.erase", description=__doc__)
    parser.add_argument("--customer", type=_id, required=True, metavar="ID", help="the customer to forget")
    customer_id = parser.parse_args().customer
    try:
        settings = read_settings()
        print(json.dumps(asyncio.run(run(settings, read_secrets(settings.secrets_dir), customer_id))))
    except SettingsError as error:
        return _failed(str(error))
    except psycopg.Error as error:
        return _failed(f"{problem_of(error)} ({reason_of(error)}); run this command again")
    except (ValkeyError, OSError) as error:
        return _failed(f"Valkey failed ({error}): check VALKEY_URL, and that Valkey runs; run this command again")
    return 0


def _failed(reason: str) -> int:
    print(f"serving.erase: {reason}", file=sys.stderr)
    return 1


def _id(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > MAX_ID:
        raise argparse.ArgumentTypeError(f"must be a customer's id, 0 or more, not {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
