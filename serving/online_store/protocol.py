"""What the scorer needs of the online store: histories, claims and first answers.

Every method raises `ValkeyError` if the store does not answer in time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from serving.scoring.payment import Location, Payment


@dataclass(frozen=True)
class Claim:
    """A payment to be answered: its sequence number, and both histories, which contain it.

    Payments that are claimed together share the objects of their common histories, so later payments may be in them.
    """

    payment: Payment
    applied: int
    customer: bytes
    terminal: bytes


@dataclass(frozen=True)
class Answered:
    """A payment that was answered before: its first answer as stored."""

    answer: bytes


class Conflict:
    """A payment whose id already exists with a different payload."""


Claimed = Claim | Answered | Conflict


@dataclass(frozen=True)
class AskLog:
    """Payments whose answers may have expired in the store. Nothing was claimed or reserved.

    Restore what the decision log has of them, by `merge_decisions`, and try again with `log_asked`.
    """

    payments: Sequence[Payment]


class OnlineStore(Protocol):
    """The store as payments and fraud reports use it."""

    async def incompatible(self) -> str:
        """Why this code cannot use the stored state, empty if it can."""

    async def reserve(self, payments: Sequence[Payment], *, log_asked: bool = False) -> int | AskLog | None:
        """Reserve all these ids or none; the index of a payment that conflicts, None if none does.

        Raises `OnlineStoreUnavailableError` if the state is incompatible.
        """

    async def claim(self, payments: Sequence[Payment], *, log_asked: bool = False) -> list[Claimed] | AskLog:
        """Claim the first payments, at least one; the fewer, the longer their histories. They are in order of position.

        Raises `OnlineStoreUnavailableError` if the state is incompatible.
        """

    async def store_answers(self, answers: Sequence[tuple[Payment, bytes]]) -> list[bytes]:
        """Store each claimed payment's answer, unless it has one, and append it to the outbox; the stored answers."""

    async def merge_decisions(self, recorded: Sequence[tuple[Payment, bytes, int]]) -> list[int]:
        """Write payments with their recorded answers and numbers (0: give a new one); their numbers."""

    async def answer(self, transaction_id: int) -> bytes | None:
        """A payment's stored answer."""

    async def locate(self, ids: Sequence[int]) -> dict[int, Location]:
        """Terminal, second and cents of the payments that are known, whether scored or read from the lake."""

    async def merge_reports(self, entries: Mapping[int, bytes]) -> None:
        """Merge packed entries with the seconds of their reports into each terminal's history."""


class ReconcilableStore(Protocol):
    """The store as recovery uses it."""

    async def incompatible(self) -> str:
        """Why this code cannot use the stored state, empty if it can."""

    async def pin_run(self) -> str:
        """Accept only the server that runs now; its run id, a new one after every start."""

    async def current_run(self) -> str:
        """The run id of the server that runs now."""

    async def merge_decisions(self, recorded: Sequence[tuple[Payment, bytes, int]]) -> list[int]:
        """Write payments with their recorded answers and numbers (0: give a new one); their numbers."""

    async def unanswered(self, ids: Sequence[int]) -> list[int]:
        """The payments among these without a stored answer."""

    async def advance_sequence(self, recorded: int, *, forgotten: bool) -> None:
        """Never reuse a sequence number: go above the highest recorded one, and far above if some may be forgotten."""

    async def applied_before_recovery(self) -> int | None:
        """The counter before recovery raised it; None once all decisions above it are replayed."""

    async def clear_applied_before_recovery(self) -> None:
        """Record that all decisions above it are replayed."""

    async def may_have_expired(self, highest: int) -> None:
        """Note that the answers to ids up to `highest` may have expired."""

    async def reconciliation_id(self) -> bytes:
        """The id that `mark_reconciled` wrote last; empty if the state has none, as after a loss of data."""

    async def mark_reconciled(self) -> None:
        """Record in the stamp, as a new random id, that every recorded decision is in the state."""
