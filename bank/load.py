"""Load a feed into the bank: `python -m bank.load`. One transaction: all of it lands, or nothing."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import psycopg
import pyarrow.compute as pc

from bank.feed import Batch, Feed, add_feed_options, arrived_before, feed_of, midnight, reports_of, require_days
from bank.landing import is_new_source, land, open_bank
from bank.progress import progress_of
from bank.runner import run
from bank.settings import read_settings


@dataclass
class Loaded:
    """What a load did; days as YYYY-MM-DD, `held_out` those left for later."""

    rows: int
    rows_new: int
    reports_new: int
    first_day: str
    last_day: str
    held_out: list[str]
    seconds: float


def load(bank: psycopg.Connection, feed: Feed, hold_out_days: int) -> Loaded:
    """Load all but the last days that have payments, and the fraud reports made before these.

    Raises `DataError` before the first row is written, for data that cannot be read, and leaves nothing half loaded.
    """
    start = time.monotonic()
    days = require_days(feed)
    kept, held = days[: len(days) - hold_out_days], days[len(days) - hold_out_days :]
    if not kept:
        raise SystemExit(f"error: --hold-out-days {hold_out_days} leaves nothing of {len(days)} days")
    until = midnight(held[0]) if held else datetime.max.replace(tzinfo=UTC)
    rows = rows_new = reports_new = 0
    with bank.transaction(), progress_of("loading", feed.total()) as progress:
        new = _NewSources(bank)
        for batch in feed.batches():
            payments = arrived_before(batch.rows, until)
            reports = reports_of(batch.rows)
            reports = reports.filter(pc.less(reports["reported_at"], until))
            rows_new += land(bank, "transactions", batch.source, payments, new.payments(batch))
            reports_new += land(bank, "fraud_reports", batch.source, reports, new.reports(batch))
            rows += len(payments)
            progress(len(payments))
    # So many new rows are news to the planner.
    bank.execute("analyze bank.transactions, bank.fraud_reports")
    shown = [str(day) for day in held]
    return Loaded(rows, rows_new, reports_new, str(kept[0]), str(kept[-1]), shown, round(time.monotonic() - start, 2))


class _NewSources:
    """Which sources had nothing in the bank when this load began."""

    def __init__(self, bank: psycopg.Connection) -> None:
        self._bank = bank
        self._known: dict[tuple[str, str], bool] = {}

    def payments(self, batch: Batch) -> bool:
        return self._is_new("transactions", batch.source)

    def reports(self, batch: Batch) -> bool:
        return self._is_new("fraud_reports", batch.source)

    def _is_new(self, table: str, source: str) -> bool:
        key = (table, source)
        if key not in self._known:
            self._known[key] = is_new_source(self._bank, table, source)
        return self._known[key]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bank.load", description=__doc__)
    add_feed_options(parser)
    parser.add_argument("--hold-out-days", type=int, default=0, metavar="N", help="leave the last N days for later")
    options = parser.parse_args()
    feed = feed_of(options, datetime.now(UTC))
    # Data that cannot be read is said before anyone is asked for a database.
    require_days(feed)
    with open_bank(read_settings()) as bank:
        print(json.dumps(asdict(load(bank, feed, options.hold_out_days))))


if __name__ == "__main__":
    run(main)
