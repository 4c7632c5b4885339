"""Load a feed into the bank, in one transaction: `python -m bank.load`."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from functools import cache, partial

import psycopg

from bank.errors import BankError
from bank.feed import Feed, arrived_before, midnight, reports_of, require_days
from bank.landing import is_new_source, land, open_bank, take_turns
from bank.options import add_feed_options, feed_of, non_negative_int
from bank.progress import progress_of
from bank.runner import run
from bank.settings import read_settings
from bank.source_numbers import number_sources


@dataclass
class Loaded:
    """The result of a load; days as YYYY-MM-DD, `held_out` are the days not loaded."""

    rows: int
    rows_new: int
    reports_new: int
    first_day: str
    last_day: str
    held_out: list[str]
    seconds: float


def load(bank: psycopg.Connection, feed: Feed, hold_out_days: int) -> Loaded:
    """Load all days except the last `hold_out_days`, and the fraud reports made before those.

    Raises `BankError` for unreadable data, before the first row is written. Either everything is loaded or nothing.
    """
    start = time.monotonic()
    kept, held = hold_out(require_days(feed), hold_out_days)
    until = midnight(held[0]) if held else datetime.max.replace(tzinfo=UTC)
    with bank.transaction():
        take_turns(bank)
        rows, rows_new, reports_new = _land_all(bank, feed, until)
    # After a bulk load the planner needs new statistics.
    bank.execute("analyze bank.transactions, bank.fraud_reports")
    shown = [str(day) for day in held]
    return Loaded(rows, rows_new, reports_new, str(kept[0]), str(kept[-1]), shown, round(time.monotonic() - start, 2))


def hold_out(days: list[date], last: int) -> tuple[list[date], list[date]]:
    """Split the days into those to load and the `last` ones. Raises `BankError` if no day would be loaded."""
    if last >= len(days):
        raise BankError(f"--hold-out-days {last} leaves none of {len(days)} days to load: hold out fewer")
    return days[: len(days) - last], days[len(days) - last :]


def _land_all(bank: psycopg.Connection, feed: Feed, until: datetime) -> tuple[int, int, int]:
    """Land what arrived before `until`; returns the numbers of payments, new payments and new reports."""
    rows = rows_new = reports_new = 0
    # Cached: asked once for each source, before its first row lands.
    is_new = cache(partial(is_new_source, bank))
    number = cache(lambda source: number_sources(bank, [source]))
    with progress_of("loading", feed.total()) as progress:
        for batch in feed.batches():
            # Also a source whose rows are all held out: files have the numbers of their order.
            number(batch.source)
            payments = arrived_before(batch.rows, until)
            reports = arrived_before(reports_of(batch.rows), until)
            new = is_new("transactions", batch.source), is_new("fraud_reports", batch.source)
            rows_new += land(bank, "transactions", batch.source, payments, new[0])
            reports_new += land(bank, "fraud_reports", batch.source, reports, new[1])
            rows += len(payments)
            progress(len(batch.rows))
    return rows, rows_new, reports_new


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bank.load", description=__doc__)
    add_feed_options(parser)
    parser.add_argument(
        "--hold-out-days", type=non_negative_int, default=0, metavar="N", help="do not load the last N days"
    )
    options = parser.parse_args()
    feed = feed_of(options, datetime.now(UTC))
    # Unreadable data is reported before connecting to the database.
    hold_out(require_days(feed), options.hold_out_days)
    with open_bank(read_settings()) as bank:
        print(json.dumps(asdict(load(bank, feed, options.hold_out_days))))


if __name__ == "__main__":
    run(main)
