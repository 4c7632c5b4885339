"""Keep scoring while the store of histories is down, and recover completely when it is back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

TIMEOUT_SECONDS = 0.25
"""How long a call of the store may take; longer counts as down."""


@dataclass(frozen=True)
class Payment:
    """A payment's id and customer."""

    id: int
    customer: int


@dataclass(frozen=True)
class Answer:
    """The number of the customer's payments, this one included; `degraded` if the history was not available."""

    payment_id: int
    count: int
    degraded: bool


class Store(Protocol):
    """The store of histories. It may fail, hang (never answer), and come back with its data."""

    async def add(self, payment: Payment) -> int:
        """Add a payment to its customer's history, idempotently; returns the number of payments in the history.

        Raises `ConnectionError` if the store is down.
        """


class Scorer:
    """Scores payments, with the store or without it.

    `score(payment) -> Answer`: the store's count; or a count of 1, degraded, if the store is down. Never fails. A
    caller may send a payment again (the same id): it is kept once.
    `try_recover() -> bool`: called repeatedly in the background while the store is not in use. Backfills the payments
    that were scored without it, then uses the store again. True on success, False if it is still down. Never fails.
    """

    # --- your work: begin
    raise NotImplementedError("your work goes here")
    # --- your work: end
