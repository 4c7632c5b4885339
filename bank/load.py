"""Load a feed into the bank, in one transaction: `python -m bank.load`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from functools import cache, partial

import psycopg
import pyarrow as pa

from bank import known_contents
from bank.errors import BankError
from bank.feed import Batch, Feed, arrived_before, midnight, reports_of, require_days, unknown_labels_of
from bank.hashed_ids import HashRegister
from bank.landing import is_new_source, land, open_bank, take_turns
from bank.mapped.feed import MappedFeed
from bank.options import add_feed_options, feed_of, non_negative_int
from bank.prefetch import read_ahead
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
        new = _land_mapped(bank, feed, until) if isinstance(feed, MappedFeed) else _land_all(bank, feed, until)
    # After a bulk load the planner needs new statistics.
    bank.execute("analyze bank.transactions, bank.fraud_reports")
    return Loaded(
        rows=new["rows"],
        rows_new=new["transactions"],
        reports_new=new["fraud_reports"],
        first_day=str(kept[0]),
        last_day=str(kept[-1]),
        held_out=[str(day) for day in held],
        seconds=round(time.monotonic() - start, 2),
    )


def hold_out(days: list[date], last: int) -> tuple[list[date], list[date]]:
    """Split the days into those to load and the `last` ones. Raises `BankError` if no day would be loaded."""
    if last >= len(days):
        raise BankError(f"--hold-out-days {last} leaves none of {len(days)} days to load: hold out fewer")
    return days[: len(days) - last], days[len(days) - last :]


def _land_mapped(bank: psycopg.Connection, feed: MappedFeed, until: datetime) -> Counter[str]:
    """Land what is new, also of files that have grown. Raises `DataError` for a file that was changed."""
    known_contents.take_over(bank, feed)
    known_contents.require_unloaded(bank, feed)
    landed = _land_all(bank, feed, until)
    feed.require_unchanged()
    known_contents.record(bank, feed)
    return landed


def _land_all(bank: psycopg.Connection, feed: Feed, until: datetime) -> Counter[str]:
    """Land what arrived before `until`; returns the number of payments as `rows`, and of new rows by table."""
    landed: Counter[str] = Counter()
    # Cached: asked once for each source, before its first row lands.
    is_new = cache(partial(is_new_source, bank))
    number = cache(lambda source: number_sources(bank, [source]))
    register = HashRegister(bank)
    with progress_of("loading", feed.total()) as progress:
        for batch in read_ahead(feed.batches()):
            # Even a source whose rows are all held out: files have the numbers of their order.
            number(batch.source)
            for table, rows in _by_table(batch):
                arrived = arrived_before(rows, until)
                landed["rows"] += len(arrived) if table == "transactions" else 0
                landed[table] += land(bank, table, batch.source, arrived, is_new(table, batch.source))
            if batch.hashed is not None:
                register.note(batch.hashed)
            progress(len(batch.rows))
    register.close()
    return landed


def _by_table(batch: Batch) -> Iterator[tuple[str, pa.Table]]:
    yield "transactions", batch.rows
    yield "fraud_reports", reports_of(batch.rows)
    if len(labels := unknown_labels_of(batch.rows)):
        yield "unknown_labels", labels
    if batch.refunds is not None and len(batch.refunds):
        yield "refunds", batch.refunds


def report_refused(feed: MappedFeed, loaded: Loaded) -> None:
    """Say on standard error what of a mapped file was not loaded, and why."""
    tally = feed.tally
    if tally.refused:
        reasons = "; ".join(f"{reason} ({number:,})" for reason, number in tally.refused.most_common())
        print(
            f"rejected: {tally.refused.total():,} of {tally.rows:,} rows: {reasons}. `make check-data` shows examples",
            file=sys.stderr,
        )
    if feed.known.left_out:
        print(f"left out: {feed.known.left_out:,} rows of customers that were erased (bank.erase)", file=sys.stderr)
    if loaded.rows and not loaded.rows_new:
        print(
            "nothing is new: this content is loaded already, and a changed map does not change loaded rows: "
            "load into a new bank (`make demo` makes one)",
            file=sys.stderr,
        )


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
        loaded = load(bank, feed, options.hold_out_days)
    said = asdict(loaded)
    if isinstance(feed, MappedFeed):
        report_refused(feed, loaded)
        said |= feed.tally.summary() | {"labelled": feed.labelled}
    print(json.dumps(said))


if __name__ == "__main__":
    run(main)
