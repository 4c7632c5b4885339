"""Live: a day of a feed, payment by payment in order of time, to the scorer and into the bank: `python -m bank.replay`.

Run again, it does no harm: the scorer repeats its first answers and the bank adds nothing twice.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from bank.errors import BankError
from bank.feed import INSTANT, Feed, add_feed_options, arrived_on, feed_of, midnight, reports_of, require_days
from bank.landing import land, open_bank
from bank.progress import progress_of
from bank.runner import run
from bank.scorer import Scorer
from bank.settings import read_settings
from contracts.days import parse_day
from contracts.transaction import Transaction

RECORD_EVERY = 500


@dataclass
class Played:
    """What a replay did; latencies in milliseconds, as its client saw them."""

    scored: int = 0
    unposted: int = 0
    reports: int = 0
    frauds: int = 0
    frauds_caught: int = 0
    decisions: Counter[str] = field(default_factory=lambda: Counter(approve=0, review=0, decline=0))
    latencies: list[float] = field(default_factory=list)

    def summary(self, seconds: float) -> dict[str, Any]:
        """The result line."""
        p50, p99 = np.percentile(self.latencies, [50, 99]).round(3).tolist() if self.latencies else (0.0, 0.0)
        return {
            "scored": self.scored,
            "unposted": self.unposted,
            "decisions": dict(self.decisions),
            "frauds": self.frauds,
            "frauds_caught": self.frauds_caught,
            "reports": self.reports,
            "latency_ms": {"p50": p50, "p99": p99},
            "seconds": round(seconds, 2),
        }


@dataclass(frozen=True)
class Event:
    """A payment or a fraud report of the day, in order of time: at one second a report comes before a payment."""

    second: datetime
    is_payment: bool
    transaction_id: int
    source: str
    row: dict[str, Any]

    @property
    def order(self) -> tuple[datetime, bool, int]:
        """Where the event stands in the day."""
        return self.second, self.is_payment, self.transaction_id


def events_of(feed: Feed, day: date) -> list[Event]:
    """What happens on a day: its payments, and the reports of earlier frauds that fall due in it."""
    return sorted(_events(feed, day), key=lambda event: event.order)


def _events(feed: Feed, day: date) -> Iterator[Event]:
    for batch in feed.batches():
        for row in arrived_on(batch.rows, day).to_pylist():
            yield Event(_cut(row["arrived_at"]), True, row["transaction_id"] or 0, batch.source, row)
        for row in _due(reports_of(batch.rows), day).to_pylist():
            yield Event(_cut(row["reported_at"]), False, row["transaction_id"] or 0, batch.source, row)


def _cut(instant: datetime) -> datetime:
    return instant.replace(microsecond=0)


def _due(reports: pa.Table, day: date) -> pa.Table:
    start, end = (pa.scalar(midnight(d), INSTANT) for d in (day, date.fromordinal(day.toordinal() + 1)))
    at = reports["reported_at"]
    return reports.filter(pc.and_(pc.greater_equal(at, start), pc.less(at, end)))


def replay(bank: psycopg.Connection, scorer: Scorer, events: list[Event]) -> Played:
    """Send each event to the scorer, in order, and record it in the bank."""
    played, waiting = Played(), _Waiting(bank)
    with progress_of("live", len(events), "events") as progress:
        for event in events:
            _play(event, scorer, played)
            waiting.add(event)
            progress(1)
        waiting.record()
    return played


def _play(event: Event, scorer: Scorer, played: Played) -> None:
    if not event.is_payment:
        scorer.report(event.row["transaction_id"], event.row["reported_at"])
        played.reports += 1
        return
    payment = _payment(event.row)
    if payment is None:
        # It breaks the contract: the bank records it as it came, and validation will say why.
        played.unposted += 1
        return
    start = time.perf_counter()
    decision = scorer.score(payment)
    played.latencies.append((time.perf_counter() - start) * 1000)
    played.scored += 1
    played.decisions[decision] += 1
    played.frauds += bool(event.row["fraud"])
    played.frauds_caught += bool(event.row["fraud"]) and decision != "approve"


def _payment(row: dict[str, Any]) -> Transaction | None:
    try:
        return Transaction(
            transaction_id=row["transaction_id"],
            customer_id=row["customer_id"],
            terminal_id=row["terminal_id"],
            amount=Decimal(repr(row["amount"])),
            occurred_at=row["occurred_at"],
        )
    except (ValidationError, InvalidOperation):
        return None


class _Waiting:
    """Events that the scorer has seen and the bank has not yet; recorded in batches."""

    def __init__(self, bank: psycopg.Connection) -> None:
        self._bank = bank
        self._events: list[Event] = []

    def add(self, event: Event) -> None:
        self._events.append(event)
        if len(self._events) >= RECORD_EVERY:
            self.record()

    def record(self) -> None:
        with self._bank.transaction():
            for table, payments in (("transactions", True), ("fraud_reports", False)):
                for source in {event.source for event in self._events}:
                    rows = [e.row for e in self._events if e.source == source and e.is_payment == payments]
                    if rows:
                        land(self._bank, table, source, pa.Table.from_pylist(rows))
        self._events.clear()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bank.replay", description=__doc__)
    add_feed_options(parser)
    parser.add_argument("--day", type=parse_day, required=True, help="the day to play, UTC")
    parser.add_argument("--limit", type=int, default=None, metavar="N", help="stop after N events")
    options = parser.parse_args()
    settings = read_settings()
    feed = feed_of(options, datetime.now(UTC))
    if options.day not in require_days(feed):
        raise BankError(f"the data has no payment on {options.day}")
    start = time.monotonic()
    with open_bank(settings) as bank, Scorer(settings.scorer_url, settings.secret("scorer_api_key")) as scorer:
        played = replay(bank, scorer, events_of(feed, options.day)[: options.limit])
    print(json.dumps(played.summary(time.monotonic() - start)))


if __name__ == "__main__":
    run(main)
