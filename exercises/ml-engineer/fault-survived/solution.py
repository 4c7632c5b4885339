"""Score on while the store of histories is away, and be whole again when it is back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

TIMEOUT_SECONDS = 0.25
"""How long the store may take; one that takes longer counts as away."""


@dataclass(frozen=True)
class Payment:
    """Its id, and who pays."""

    id: int
    customer: int


@dataclass(frozen=True)
class Answer:
    """How many payments of its customer are known, this one included; `degraded` if that is for lack of a history."""

    payment_id: int
    count: int
    degraded: bool


class Store(Protocol):
    """The store of histories. It may fail, hang (never answer), and come back with what it had."""

    async def add(self, payment: Payment) -> int:
        """Put a payment into its customer's history, once however often it is told; how many that holds then.

        Raises `ConnectionError` where the store is away.
        """


class Scorer:
    """Answers payments, with the store or without it.

    `score(payment) -> Answer`: the store's count; or a count of 1 and degraded, if the store is away. Never fails. A
    caller may send a payment again (the same id): what is kept of it is kept once.
    `mend() -> bool`: called in the background again and again while the store is not in use. Puts in what was scored
    without it; once nothing is left, the store is in use again, True. False if it is still away. Never fails.
    """

    # --- your work: begin
    def __init__(self, store: Store) -> None:
        self._store = store
        self._in_use = True
        self._left: dict[int, Payment] = {}

    async def score(self, payment: Payment) -> Answer:
        """Answer one payment."""
        if self._in_use:
            try:
                return Answer(payment.id, await self._add(payment), degraded=False)
            except (ConnectionError, TimeoutError):
                self._in_use = False
        self._left[payment.id] = payment
        return Answer(payment.id, 1, degraded=True)

    async def mend(self) -> bool:
        """Put in what is left, then use the store again."""
        try:
            # More may come while this waits: it is done when nothing is left.
            while self._left:
                payment = next(iter(self._left.values()))
                await self._add(payment)
                self._left.pop(payment.id, None)
        except (ConnectionError, TimeoutError):
            return False
        self._in_use = True
        return True

    async def _add(self, payment: Payment) -> int:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await self._store.add(payment)

    # --- your work: end
