"""What happens on a day of a feed: its payments and the fraud reports that fall due in it, in order of time."""

from __future__ import annotations

from collections.abc import Iterator
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
    """A payment or a fraud report; `row` is what lands of it, with the key that it has in its source."""

    second: datetime
    is_payment: bool
    source: str
    row: dict[str, Any]

    @property
    def order(self) -> tuple[datetime, bool, int]:
        """Where the event stands in the day: at one second a report comes before a payment."""
        return self.second, self.is_payment, self.row["transaction_id"] or 0

    @property
    def is_fraud(self) -> bool:
        """Whether it is a payment that its source labels as fraud."""
        return bool(self.row.get("fraud"))

    def payment(self) -> Transaction | None:
        """What to send to the scorer; none where the payment breaks the contract."""
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
        """What to send to the scorer; none where the reported payment has no usable id."""
        try:
            return FraudReport(transaction_id=self.row["transaction_id"], reported_at=self.row["reported_at"])
        except ValidationError:
            return None


def events_of(feed: Feed, day: date) -> list[Event]:
    """The payments that arrive on a day, and the reports of earlier frauds that are made on it, in order."""
    return sorted(_events(feed, day), key=lambda event: event.order)


def _events(feed: Feed, day: date) -> Iterator[Event]:
    for batch in feed.batches():
        yield from _of_rows(on_day(batch.rows, day), True, batch.source)
        yield from _of_rows(on_day(reports_of(batch.rows), day), False, batch.source)


def _of_rows(rows: pa.Table, are_payments: bool, source: str) -> Iterator[Event]:
    for row in rows.to_pylist():
        yield Event(row["arrived_at"].replace(microsecond=0), are_payments, source, row)
