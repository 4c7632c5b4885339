"""A payment as the online store has it: integers, and their packed forms."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from contracts.online_state import CENTS_BITS, NOT_REPORTED
from contracts.transaction import Transaction, epoch_seconds

_BODY: Final = struct.Struct(">5q")
_ENTRY: Final = struct.Struct(">3q")
POSITION_BYTES: Final = 16
Location = tuple[int, int, int]
"""Terminal, second and cents of a payment: what finds and rebuilds its entry in its terminal's history."""


@dataclass(frozen=True)
class Payment:
    """One payment: ids, amount in cents, second since 1970."""

    transaction_id: int
    customer_id: int
    terminal_id: int
    cents: int
    second: int

    @classmethod
    def of(cls, transaction: Transaction) -> Payment:
        """The payment in a request."""
        return cls(
            transaction.transaction_id,
            transaction.customer_id,
            transaction.terminal_id,
            transaction.amount_cents,
            transaction.occurred_second,
        )

    @classmethod
    def recorded(cls, record: Mapping[str, Any]) -> Payment:
        """The payment of a record."""
        return cls(
            record["transaction_id"],
            record["customer_id"],
            record["terminal_id"],
            int(Decimal(record["amount"]) * 100),
            epoch_seconds(datetime.fromisoformat(record["occurred_at"])),
        )

    @property
    def position(self) -> tuple[int, int]:
        """Its position in a history: second, then id."""
        return self.second, self.transaction_id

    # Properties are not cached: packing one takes less than Python 3.11's lock around a cached one.

    @property
    def body(self) -> bytes:
        """The canonical payload: two requests are the same if this is."""
        return _BODY.pack(self.transaction_id, self.customer_id, self.terminal_id, self.cents, self.second)

    @property
    def customer_entry(self) -> bytes:
        """Its entry in its customer's history."""
        return _ENTRY.pack(self.second, self.transaction_id, self.cents)

    @property
    def terminal_entry(self) -> bytes:
        """Its entry in its terminal's history, without a fraud report."""
        return terminal_entry(self.second, self.transaction_id, self.cents, NOT_REPORTED)


def terminal_entry(second: int, transaction_id: int, cents: int, reported: int) -> bytes:
    """A payment's entry in its terminal's history; `reported` is the second of its earliest report."""
    return _ENTRY.pack(second, transaction_id, min(reported, NOT_REPORTED) << CENTS_BITS | cents)
