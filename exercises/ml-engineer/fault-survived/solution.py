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
    def __init__(self, store: Store) -> None:
        self._store = store
        self._in_use = True
        self._backlog: dict[int, Payment] = {}

    async def score(self, payment: Payment) -> Answer:
        """Score one payment."""
        if self._in_use:
            try:
                return Answer(payment.id, await self._add(payment), degraded=False)
            except (ConnectionError, TimeoutError):
                self._in_use = False
        self._backlog[payment.id] = payment
        return Answer(payment.id, 1, degraded=True)

    async def try_recover(self) -> bool:
        """Backfill the backlog, then use the store again."""
        try:
            # More payments may arrive at each await: continue until none is left.
            while self._backlog:
                payment = next(iter(self._backlog.values()))
                await self._add(payment)
                self._backlog.pop(payment.id, None)
        except (ConnectionError, TimeoutError):
            return False
        self._in_use = True
        return True

    async def _add(self, payment: Payment) -> int:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await self._store.add(payment)

    # --- your work: end
