"""What the scorer needs of the online store: histories, claims and first answers.

Every method raises `ValkeyError` if the store does not answer in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from serving.scoring.payment import Location, Payment
from serving.scoring.report import Report


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
        """Why this code cannot use the server or the stored state, empty if it can."""

    async def reserve(self, payments: Sequence[Payment], *, log_asked: bool = False) -> int | AskLog | None:
        """Reserve all these ids or none; the index of a payment that conflicts, None if none does.

        Raises `OnlineStoreUnavailableError` if the state is incompatible.
        """

    async def claim(self, payments: Sequence[Payment], *, log_asked: bool = False) -> list[Claimed] | AskLog:
        """Claim the first payments, at least one; the fewer, the longer their histories.

        Raises `OnlineStoreUnavailableError` if the state is incompatible.
        """

    async def store_responses(self, answers: Sequence[tuple[Payment, bytes]]) -> list[bytes]:
        """Store each claimed payment's answer, unless it has one, and append it to the outbox; the stored answers."""

    async def merge_decisions(self, recorded: Sequence[tuple[Payment, bytes, int]]) -> list[int]:
        """Write payments with their recorded answers and numbers (0: give a new one); their numbers."""

    async def answers(self, ids: Sequence[int]) -> dict[int, bytes]:
        """The stored answers to these payments, of those that have one."""

    async def locate(self, ids: Sequence[int]) -> dict[int, Location]:
        """Terminal, second and cents of the payments that are known, whether scored or read from the lake."""

    async def accept_reports(self, reports: Sequence[Report]) -> list[Report]:
        """Merge reports into the histories of their terminals and append them to the outbox; with sequence numbers.

        Raises `OnlineStoreUnavailableError` if the state is incompatible.
        """


class ReconcilableStore(Protocol):
    """The store as recovery uses it."""

    async def incompatible(self) -> str:
        """Why this code cannot use the server or the stored state, empty if it can."""

    async def pin_run(self) -> str:
        """Accept only the server that runs now; its run id, a new one after every start."""

    async def current_run(self) -> str:
        """The run id of the server that runs now."""

    async def merge_decisions(self, recorded: Sequence[tuple[Payment, bytes, int]]) -> list[int]:
        """Write payments with their recorded answers and numbers (0: give a new one); their numbers."""

    async def answers(self, ids: Sequence[int]) -> dict[int, bytes]:
        """The stored answers to these payments, of those that have one."""

    async def unanswered(self, ids: Sequence[int]) -> list[int]:
        """The payments among these without a stored answer."""

    async def advance_sequence(self, recorded: int, *, forgotten: bool) -> None:
        """Never reuse a sequence number: go above the highest recorded one, and far above if some may be forgotten."""

    async def sequence(self) -> int:
        """The highest sequence number given so far."""

    async def applied_before_recovery(self) -> int | None:
        """The counter before recovery raised it; None once all decisions above it are replayed."""

    async def may_have_expired(self, highest: int) -> None:
        """Note that the answers to ids up to `highest` may have expired."""

    async def reconciliation_id(self) -> bytes:
        """The id of the last recovery from a data loss; empty if the state has none, for example after another loss."""

    async def merge_reports(self, reports: Sequence[Report]) -> None:
        """Write recorded reports into the histories of their terminals."""

    async def written_to(self) -> date | None:
        """The last day that the state was written for from the lake; None without a valid one."""

    async def recovered_run(self) -> str:
        """The run id of the server for which recovery was last complete; empty if the stamp has none."""

    async def start_recovery(self) -> bytes:
        """Note in the stamp who recovers the state; a token for `finish_recovery`.

        Raises `OnlineStoreUnavailableError` if there is no stamp.
        """

    async def finish_recovery(self, token: bytes, *, lost: bool) -> None:
        """Record in the stamp that everything recorded is in the state; after a loss as a new reconciliation id.

        Raises `OnlineStoreUnavailableError` if the state was lost or another scorer began to recover it since then.
        """
