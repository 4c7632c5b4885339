"""A fraud report as the stores have it, with what rebuilds its payment's entry in the terminal's history."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from contracts.transaction import epoch_seconds, from_epoch_seconds
from serving.scoring.payment import POSITION_BYTES, Location, terminal_entry


@dataclass(frozen=True)
class Report:
    """One report: the payment and its location, the second of the report, and its sequence number once it has one.

    Of several reports of one payment the earliest counts.
    """

    transaction_id: int
    reported: int
    location: Location
    applied: int = 0

    @classmethod
    def recorded(cls, row: Mapping[str, Any]) -> Report:
        """The report of a row, as `as_row` made it."""
        second = epoch_seconds(datetime.fromisoformat(row["occurred_at"]))
        location = (row["terminal_id"], second, int(Decimal(row["amount"]) * 100))
        reported = epoch_seconds(datetime.fromisoformat(row["reported_at"]))
        return cls(row["transaction_id"], reported, location, row["applied"])

    @property
    def key(self) -> tuple[int, int]:
        """The payment, and the second of the report."""
        return self.transaction_id, self.reported

    @property
    def entry(self) -> bytes:
        """The payment's entry in its terminal's history."""
        _, second, cents = self.location
        return terminal_entry(second, self.transaction_id, cents, self.reported)

    def as_row(self) -> dict[str, Any]:
        """The report as a row of serving.fraud_reports, as JSON."""
        terminal_id, second, cents = self.location
        return {
            "transaction_id": self.transaction_id,
            "reported_at": from_epoch_seconds(self.reported).isoformat(),
            "terminal_id": terminal_id,
            "amount": f"{cents // 100}.{cents % 100:02d}",
            "occurred_at": from_epoch_seconds(second).isoformat(),
            "applied": self.applied,
        }


def by_terminal(reports: Iterable[Report]) -> dict[int, bytes]:
    """Packed entries for each terminal, in order of position; of several reports of one payment the earliest."""
    entries: defaultdict[int, dict[bytes, bytes]] = defaultdict(dict)
    # Entries are big-endian and never negative, so they sort by position, then by the second of the report.
    for entry, terminal_id in sorted((report.entry, report.location[0]) for report in reports):
        entries[terminal_id].setdefault(entry[:POSITION_BYTES], entry)
    return {terminal_id: b"".join(packed.values()) for terminal_id, packed in entries.items()}
