"""A payment as the online state knows it: whole numbers, and their packed forms."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Final

from contracts.online_state import CENTS_BITS, NOT_REPORTED
from contracts.transaction import Transaction, epoch_seconds

_BODY: Final = struct.Struct(">5q")
_ENTRY: Final = struct.Struct(">3q")
PLACE_BYTES: Final = 16
Place = tuple[int, int, int]
"""A terminal, a second and an amount in cents: where and when a payment was, and what its terminal's entry holds."""


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
        """The payment that a request names."""
        return cls(
            transaction.transaction_id,
            transaction.customer_id,
            transaction.terminal_id,
            transaction.amount_cents,
            transaction.occurred_second,
        )

    @classmethod
    def recorded(cls, record: Mapping[str, Any]) -> Payment:
        """The payment that a record is of."""
        return cls(
            record["transaction_id"],
            record["customer_id"],
            record["terminal_id"],
            int(Decimal(record["amount"]) * 100),
            epoch_seconds(datetime.fromisoformat(record["occurred_at"])),
        )

    @property
    def place(self) -> tuple[int, int]:
        """Its place in time."""
        return self.second, self.transaction_id

    @cached_property
    def body(self) -> bytes:
        """The canonical body: two requests are the same where this is."""
        return _BODY.pack(self.transaction_id, self.customer_id, self.terminal_id, self.cents, self.second)

    @cached_property
    def customer_entry(self) -> bytes:
        """Its entry in its customer's history."""
        return _ENTRY.pack(self.second, self.transaction_id, self.cents)

    @cached_property
    def terminal_entry(self) -> bytes:
        """Its entry in its terminal's history, not reported."""
        return terminal_entry(self.second, self.transaction_id, self.cents, NOT_REPORTED)


def terminal_entry(second: int, transaction_id: int, cents: int, reported: int) -> bytes:
    """The entry of a payment in its terminal's history, `reported` the second of its earliest report."""
    return _ENTRY.pack(second, transaction_id, min(reported, NOT_REPORTED) << CENTS_BITS | cents)


def place_of(body: bytes) -> Place:
    """Where and when the payment of a packed body was, and its cents."""
    _, _, terminal_id, cents, second = _BODY.unpack(body)
    return terminal_id, second, cents
