"""Replay one day of a feed: send each event to the scorer and record it in the bank: `python -m bank.replay`.

Idempotent: on a second run the scorer repeats its answers and the bank adds no rows. With several clients, payments
that share no customer and no terminal are sent at the same time; all others are sent in the feed's order.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Any, Final, Literal

import numpy as np
import psycopg
import pyarrow as pa

from bank import known_contents
from bank.erased_rows import without_erased
from bank.errors import BankError, IdConflictError
from bank.events import Event, events_of, in_landing_order, independent_runs
from bank.feed import Feed, arrived_before, arrived_from, midnight, require_days, unknown_labels_of
from bank.landing import land, open_bank, take_turns
from bank.mapped.feed import MappedFeed
from bank.options import add_feed_options, feed_of, non_negative_int, positive_int
from bank.progress import progress_of
from bank.runner import run
from bank.scorer_client import Answer, ScorerClient
from bank.settings import read_settings
from bank.source_numbers import number_sources
from contracts.days import parse_day
from contracts.transaction import MAX_CLOCK_SKEW

RECORD_EVERY: Final = 500


@dataclass
class ReplayResult:
    """The result of a replay; latencies in milliseconds, measured by the client.

    `unposted` payments break the contract: they are recorded but not sent, and validation quarantines them. `refused`
    payments have the id of an earlier payment.
    """

    scored: int = 0
    unposted: int = 0
    refused: int = 0
    reports: int = 0
    frauds: int = 0
    frauds_caught: int = 0
    decisions: Counter[str] = field(default_factory=lambda: Counter(approve=0, review=0, decline=0))
    latencies: list[float] = field(default_factory=list)

    def count(self, event: Event, outcome: Outcome) -> None:
        """Add the outcome of one event."""
        self.frauds += event.is_payment and event.is_fraud
        self.unposted += outcome.kind == "unposted"
        self.refused += outcome.kind == "refused"
        self.reports += outcome.kind == "reported"
        if outcome.answer is not None:
            self.scored += 1
            self.latencies.append(outcome.milliseconds)
            self.decisions[outcome.answer.decision] += 1
            self.frauds_caught += event.is_fraud and outcome.answer.decision != "approve"

    def summary(self, seconds: float) -> dict[str, Any]:
        """The result as printed on the command's last line."""
        p50, p99 = np.percentile(self.latencies, [50, 99]).round(3).tolist() if self.latencies else (0.0, 0.0)
        return {
            "scored": self.scored,
            "unposted": self.unposted,
            "refused": self.refused,
            "decisions": dict(self.decisions),
            "frauds": self.frauds,
            "frauds_caught": self.frauds_caught,
            "reports": self.reports,
            "latency_ms": {"p50": p50, "p99": p99},
            "seconds": round(seconds, 2),
        }


@dataclass(frozen=True)
class Outcome:
    """What became of one event: the answer to a scored payment, and the milliseconds that it took."""

    kind: Literal["scored", "unposted", "refused", "reported", "unreported"]
    answer: Answer | None = None
    milliseconds: float = 0.0


def replay(
    bank: psycopg.Connection,
    scorer: ScorerClient,
    events: Sequence[Event],
    clients: int = 1,
    limit: int | None = None,
) -> ReplayResult:
    """Send the events to the scorer and record them in the bank; all answered events are recorded, even on errors.

    At most `clients` requests run at a time, and the first `limit` events are sent. Raises `BankError` if the scorer
    rejects an event.
    """
    played = ReplayResult()
    unrecorded: list[Event] = []
    events = as_landed(bank, events)[:limit]
    with progress_of("live", len(events), "events") as progress, ThreadPoolExecutor(clients) as pool:
        try:
            for together in independent_runs(events, 1 if clients == 1 else RECORD_EVERY):
                for event, outcome in send_all(pool, together, scorer):
                    played.count(event, outcome)
                    unrecorded.append(event)
                    progress(1)
                if len(unrecorded) >= RECORD_EVERY:
                    record(bank, unrecorded)
                    unrecorded.clear()
        finally:
            record(bank, unrecorded)
    return played


def send_all(
    pool: ThreadPoolExecutor, events: Sequence[Event], scorer: ScorerClient
) -> Iterator[tuple[Event, Outcome]]:
    """Send independent events at the same time; yields the answered ones, in order, before it raises an error."""
    sent: list[Future[Outcome]] = [pool.submit(send, event, scorer) for event in events]
    if wait(sent, return_when=FIRST_EXCEPTION).not_done:
        for future in reversed(sent):
            future.cancel()
        wait(sent)
    failed = None
    for event, future in zip(events, sent, strict=True):
        if future.cancelled():
            continue
        if (error := future.exception()) is None:
            yield event, future.result()
        failed = failed or error
    if failed is not None:
        raise failed


def play(event: Event, scorer: ScorerClient, played: ReplayResult) -> Answer | None:
    """Send one event to the scorer and count the outcome in `played`; returns the answer to a scored payment."""
    outcome = send(event, scorer)
    played.count(event, outcome)
    return outcome.answer


def send(event: Event, scorer: ScorerClient) -> Outcome:
    """Send one event to the scorer, unless it breaks the contract. Raises `BankError` if the scorer rejects it."""
    if not event.is_payment:
        if report := event.report():
            scorer.report(report)
        return Outcome("reported" if report else "unreported")
    payment = event.payment()
    if payment is None:
        return Outcome("unposted")
    start = time.perf_counter()
    try:
        answer = scorer.score(payment)
    except IdConflictError:
        return Outcome("refused")
    return Outcome("scored", answer, (time.perf_counter() - start) * 1000)


def record(bank: psycopg.Connection, events: Sequence[Event]) -> None:
    """Insert events into the landing tables under their source's key; existing rows are kept."""
    with bank.transaction():
        take_turns(bank)
        for (is_payment, source), group in groupby(sorted(events, key=_table_and_source), key=_table_and_source):
            rows = pa.Table.from_pylist([event.row for event in group])
            land(bank, "transactions" if is_payment else "fraud_reports", source, rows)
            if is_payment and len(unknown := unknown_labels_of(rows)):
                land(bank, "unknown_labels", source, unknown)


def record_refunds(bank: psycopg.Connection, feed: Feed, day: date) -> None:
    """Insert the refunds from a day until the next one with payments; existing rows are kept.

    They are not sent to the scorer, and days that have only refunds are not replayed.
    """
    if not isinstance(feed, MappedFeed) or not feed.tally.refunds:
        return
    following = [midnight(later) for later in feed.days() if later > day]
    until = following[0] if following else datetime.max.replace(tzinfo=UTC)
    # Read before the lock is taken: the files may be large.
    found = [
        (batch.source, rows)
        for batch in feed.batches()
        if batch.refunds is not None and len(rows := arrived_from(arrived_before(batch.refunds, until), midnight(day)))
    ]
    with bank.transaction():
        take_turns(bank)
        for source, rows in found:
            land(bank, "refunds", source, rows)


def _table_and_source(event: Event) -> tuple[bool, str]:
    return event.is_payment, event.source


def as_landed(bank: psycopg.Connection, events: Sequence[Event]) -> list[Event]:
    """The events in order, those of one id in the order in which their sources landed in the bank."""
    return in_landing_order(events, number_sources(bank, (event.source for event in events)))


def day_to_play(feed: Feed, day: date, now: datetime) -> list[Event]:
    """The events of a day. Raises `BankError` if it has no payments or is not over at `now`."""
    days = require_days(feed)
    if day not in days:
        raise BankError(f"the data has no payments on {day}: choose a day from {days[0]} to {days[-1]}")
    events = events_of(feed, day)
    # Without events where all customers of the day were erased.
    if events and events[-1].second > now + MAX_CLOCK_SKEW:
        raise BankError(f"{day} is not over yet and the scorer rejects future payments: choose an earlier day")
    return events


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bank.replay", description=__doc__)
    add_feed_options(parser)
    parser.add_argument("--day", type=parse_day, required=True, help="the day to replay, UTC")
    parser.add_argument("--limit", type=non_negative_int, default=None, metavar="N", help="stop after N events")
    parser.add_argument("--clients", type=positive_int, default=1, metavar="N", help="send up to N payments at a time")
    options = parser.parse_args()
    now = datetime.now(UTC)
    start = time.monotonic()
    feed = feed_of(options, now)
    events = day_to_play(feed, options.day, now)
    settings = read_settings()
    with open_bank(settings) as bank, ScorerClient(settings.scorer_url, settings.secret("scorer_api_key")) as scorer:
        if known_contents.admit(bank, feed):
            events = day_to_play(feed, options.day, now)
        played = replay(bank, scorer, without_erased(bank, events), options.clients, options.limit)
        record_refunds(bank, feed, options.day)
    if played.refused:
        print(
            f"{played.refused:,} payments rejected: their ids already exist with a different payload", file=sys.stderr
        )
    if played.refused and not played.scored:
        raise BankError(
            f"the scorer at {settings.scorer_url} already has all these payment ids with different payloads: replay "
            "the data set that its online state was built from"
        )
    print(json.dumps(played.summary(time.monotonic() - start)))


if __name__ == "__main__":
    run(main)
