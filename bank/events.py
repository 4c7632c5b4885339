"""The events of one day of a feed, in order of time: its payments and the fraud reports due on that day.

If several payments have one id, the scorer keeps the first it receives, so they must be sent in the order of
`contracts/repeated_ids.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa
from pydantic import ValidationError

from bank.feed import Feed, on_day, reports_of
from contracts.transaction import MAX_CLOCK_SKEW, FraudReport, Transaction


@dataclass(frozen=True)
class Event:
    """A payment or a fraud report; `row` is its landing row, `source` and `row["source_row"]` are its key."""

    second: datetime
    is_payment: bool
    source: str
    row: dict[str, Any]

    @property
    def order(self) -> tuple[datetime, bool, int]:
        """The sort key within a day; in the same second, reports come before payments."""
        return self.second, self.is_payment, self.row["transaction_id"] or 0

    @property
    def key(self) -> tuple[str, int]:
        """The key of its landing row."""
        return self.source, self.row["source_row"]

    @property
    def landing_table(self) -> str:
        """The landing table of its row."""
        return "transactions" if self.is_payment else "fraud_reports"

    @property
    def is_fraud(self) -> bool:
        """Whether it is a payment that its source labels as fraud."""
        return bool(self.row.get("fraud"))

    def payment(self) -> Transaction | None:
        """The payment to send to the scorer; None if it breaks the contract."""
        row = self.row
        occurred = row["occurred_at"]
        if occurred is None or occurred - MAX_CLOCK_SKEW > row["arrived_at"]:
            return None
        try:
            return Transaction(
                transaction_id=row["transaction_id"],
                customer_id=row["customer_id"],
                terminal_id=row["terminal_id"],
                amount=Decimal(repr(row["amount"])),
                occurred_at=occurred,
            )
        except (ValidationError, InvalidOperation):
            return None

    def report(self) -> FraudReport | None:
        """The report to send to the scorer; None if the reported payment has no valid id."""
        try:
            return FraudReport(transaction_id=self.row["transaction_id"], reported_at=self.row["reported_at"])
        except ValidationError:
            return None


def events_of(feed: Feed, day: date) -> list[Event]:
    """The payments that arrive on a day and the fraud reports made on it, in order; of one id in the feed's order."""
    return sorted(_events(feed, day), key=lambda event: event.order)


def in_landing_order(events: Sequence[Event], numbers: Mapping[str, int]) -> list[Event]:
    """The events in order, those of one id by the `numbers` of their sources and by their rows."""
    return sorted(events, key=lambda event: (*event.order, numbers[event.source], event.row["source_row"]))


def independent_runs(events: Sequence[Event], at_most: int) -> Iterator[list[Event]]:
    """Split events into consecutive runs, each of at most `at_most`, whose events may be sent in any order.

    In a run, no two payments share an id, a customer or a terminal, so none is in another's history. A fraud report
    is a run of its own, because it does not name the terminal that it concerns.
    """
    current, seen = list[Event](), set[tuple[str, Any]]()
    for event in events:
        keys = {(name, event.row.get(name)) for name in ("transaction_id", "customer_id", "terminal_id")}
        apart = not event.is_payment or not current or not current[-1].is_payment
        if current and (apart or keys & seen or len(current) == at_most):
            yield current
            current, seen = [], set()
        current.append(event)
        seen |= keys
    if current:
        yield current


def _events(feed: Feed, day: date) -> Iterator[Event]:
    for batch in feed.batches():
        yield from _of_rows(on_day(batch.rows, day), True, batch.source)
        yield from _of_rows(on_day(reports_of(batch.rows), day), False, batch.source)


def _of_rows(rows: pa.Table, are_payments: bool, source: str) -> Iterator[Event]:
    for row in rows.to_pylist():
        yield Event(row["arrived_at"].replace(microsecond=0), are_payments, source, row)
