"""The online store in Valkey, in the format of `contracts/online_state.py`: commands in, typed answers out."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from typing import Any, Final, cast

import numpy as np
import orjson
from valkey.asyncio import Valkey

from contracts.labels import DAY
from contracts.online_state import (
    APPLIED_BEFORE_RECOVERY,
    APPLIED_KEY,
    DAYS_KEY,
    DECISIONS_KEY,
    IDS_KEY,
    LOCATION,
    META_KEY,
    RECONCILED,
    RECOVERED_RUN,
    REPORTS_KEY,
    customer_key,
    index_key,
    payment_key,
    terminal_key,
    with_late,
)
from contracts.zones import NAME_FIELD, REBUILD_ALL, RULES_FIELD, ZoneId
from serving.errors import OnlineStoreUnavailableError
from serving.fair_queuing import FairTurns
from serving.online_store.connection import ScriptConnection, connect
from serving.online_store.protocol import Answered, AskLog, Claim, Claimed, Conflict
from serving.online_store.scripts import (
    ACCEPT_REPORTS,
    ADVANCE_SEQUENCE,
    ANSWER_BYTES,
    CHECK_STAMP,
    CLAIM,
    FINISH_RECOVERY,
    LOCATE,
    LOST,
    MAY_HAVE_EXPIRED,
    MERGE_DECISIONS,
    MERGE_REPORTS,
    NOT_RECONCILED,
    RESERVE,
    START_RECOVERY,
    STORE_RESPONSES,
)
from serving.online_store.server_check import refusal
from serving.scoring.payment import Location, Payment
from serving.scoring.report import Report, by_terminal

__all__ = ["ValkeyOnlineStore", "connect"]

REPORTS_AT_ONCE: Final = 100
"""Reports in one script or round trip. Each unknown id is looked up in the index of every day, up to 45 of them, and
payments wait for Valkey meanwhile, some 5 ms."""


class ValkeyOnlineStore(ScriptConnection):
    """Implements the protocols of the online store. Every method raises `ValkeyError` if Valkey does not answer."""

    def __init__(
        self,
        client: Valkey,
        timeout: float,
        answer_seconds: int = 2 * DAY,
        zone: Callable[[], ZoneId | None] = lambda: None,
    ) -> None:
        """`answer_seconds`: how long answers are kept, a day at least; `zone`: that of the model, None without one."""
        super().__init__(client, timeout)
        self._zone = zone
        self._keep = str(answer_seconds).encode()
        self._reports = FairTurns(1)

    async def incompatible(self) -> str:
        """Why this code and its model cannot use the server or the stored state, empty if they can."""
        if refused := refusal(await self._client.info()):
            return refused
        answer = await self._call(CHECK_STAMP, [META_KEY], [])
        why, name, rules = (part.decode() for part in answer)
        if why not in ("", NOT_RECONCILED):
            return str(why)
        return _other_zone(ZoneId.read({NAME_FIELD: name, RULES_FIELD: rules}), self._zone()) or str(why)

    async def reserve(self, payments: Sequence[Payment], *, log_asked: bool = False) -> int | AskLog | None:
        """Reserve all these ids or none; the index of a payment that conflicts, None if none does.

        Raises `OnlineStoreUnavailableError` if the state is incompatible.
        """
        if not payments:
            return None
        keys = [META_KEY, IDS_KEY, *(payment_key(payment.transaction_id) for payment in payments)]
        bodies = [payment.body for payment in payments]
        answer = await self._call(RESERVE, keys, [self._keep, _flag(log_asked), *bodies])
        _raise_if_incompatible(answer)
        if answer[0] == b"ask":
            return AskLog([payments[n - 1] for n in answer[1]])
        return int(answer[1]) - 1 if answer[0] == b"conflict" else None

    async def claim(self, payments: Sequence[Payment], *, log_asked: bool = False) -> list[Claimed] | AskLog:
        """Claim the first payments, at least one; the fewer, the longer their histories.

        Raises `OnlineStoreUnavailableError` if the state is incompatible.
        """
        if not payments:
            return []
        keys, arguments = [APPLIED_KEY, META_KEY, IDS_KEY], [self._keep, _flag(log_asked)]
        ordered = sorted(enumerate(payments, 1), key=lambda ranked: ranked[1].position)
        for rank, payment in ordered:
            keys += _keys_of(payment)
            arguments += [payment.body, payment.customer_entry, payment.terminal_entry, str(rank).encode()]
        state, answers, *rest = await self._call(CLAIM, keys, arguments)
        if state == b"ask":
            return AskLog([ordered[n - 1][1] for n in answers])
        (parts,) = rest
        histories = [with_late(history, late) for history, late in zip(parts[::2], parts[1::2], strict=True)]
        by_rank = {rank: answer for (rank, _), answer in zip(ordered, answers, strict=True) if answer[0] != b"later"}
        return [_claimed(payments[rank - 1], by_rank[rank], histories) for rank in sorted(by_rank)]

    async def store_responses(self, answers: Sequence[tuple[Payment, bytes]]) -> list[bytes]:
        """Store each claimed payment's answer, unless it has one, and append it to the outbox; the stored answers.

        Raises `OnlineStoreUnavailableError` if a claim is gone.
        """
        if not answers:
            return []
        keys = [DECISIONS_KEY, *(payment_key(payment.transaction_id) for payment, _ in answers)]
        first = await self._call(STORE_RESPONSES, keys, [answer for _, answer in answers])
        if first and first[0] == LOST:
            raise OnlineStoreUnavailableError("Valkey lost its data between the claim of a payment and its response")
        return [kept or answer for kept, (_, answer) in zip(first, answers, strict=True)]

    async def merge_decisions(self, recorded: Sequence[tuple[Payment, bytes, int]]) -> list[int]:
        """Write payments with their recorded answers and numbers (0: give a new one); their numbers."""
        ordered = sorted(range(len(recorded)), key=lambda n: recorded[n][0].position)
        numbers: list[int] = []
        while len(numbers) < len(ordered):
            numbers += await self._merge_some([recorded[n] for n in ordered[len(numbers) :]])
        found = dict(zip(ordered, numbers, strict=True))
        return [found[n] for n in range(len(recorded))]

    async def _merge_some(self, recorded: Sequence[tuple[Payment, bytes, int]]) -> list[int]:
        """Write the first payments, at least one; the fewer, the longer their histories. Ordered by position."""
        keys, arguments = [APPLIED_KEY, IDS_KEY], [self._keep]
        for payment, answer, applied in recorded:
            keys += _keys_of(payment)
            number = str(applied).encode()
            arguments += [payment.body, answer, number, payment.customer_entry, payment.terminal_entry]
        return [int(number) for number in await self._call(MERGE_DECISIONS, keys, arguments)]

    async def advance_sequence(self, recorded: int, *, forgotten: bool) -> None:
        """Never reuse a sequence number: go above the highest recorded one, and far above if some may be forgotten."""
        flag = b"1" if forgotten else b"0"
        await self._call(ADVANCE_SEQUENCE, [APPLIED_KEY, META_KEY], [str(recorded).encode(), flag])

    async def sequence(self) -> int:
        """The highest sequence number given so far."""
        return int(await self._client.get(APPLIED_KEY) or 0)

    async def applied_before_recovery(self) -> int | None:
        """The counter before recovery raised it; None once all decisions above it are replayed."""
        found: bytes | None = await self._client.hget(META_KEY, APPLIED_BEFORE_RECOVERY)  # type: ignore[misc]
        return int(found) if found else None

    async def start_recovery(self) -> bytes:
        """Note in the stamp who recovers the state; a token for `finish_recovery`.

        Raises `OnlineStoreUnavailableError` if there is no stamp.
        """
        token = secrets.token_hex(8).encode()
        if not await self._call(START_RECOVERY, [META_KEY], [token]):
            raise OnlineStoreUnavailableError("Valkey lost its data")
        return token

    async def finish_recovery(self, token: bytes, *, lost: bool) -> None:
        """Record in the stamp that everything recorded is in the state; after a loss as a new reconciliation id.

        Raises `OnlineStoreUnavailableError` if the state was lost or another scorer began to recover it since then.
        """
        unique = secrets.token_hex(8) if lost else ""
        if not await self._call(FINISH_RECOVERY, [META_KEY], [token, self._run_id.encode(), unique.encode()]):
            raise OnlineStoreUnavailableError("Valkey lost its data, or another scorer took over its recovery")

    async def may_have_expired(self, highest: int) -> None:
        """Note that the answers to ids up to `highest` may have expired."""
        await self._call(MAY_HAVE_EXPIRED, [IDS_KEY], [highest.to_bytes(8, "big")])

    async def recovered_run(self) -> str:
        """The run id of the server for which recovery was last complete; empty if the stamp has none."""
        found: bytes | None = await self._client.hget(META_KEY, RECOVERED_RUN)  # type: ignore[misc]
        return (found or b"").decode()

    async def written_to(self) -> date | None:
        """The last day that the state was written for from the lake; None without a valid one."""
        found: bytes | None = await self._client.hget(META_KEY, "written_to")  # type: ignore[misc]
        try:
            return date.fromisoformat((found or b"").decode())
        except ValueError:
            return None

    async def reconciliation_id(self) -> bytes:
        """The id of the last recovery from a data loss; empty if the state has none, for example after another loss."""
        found: bytes | None = await self._client.hget(META_KEY, RECONCILED)  # type: ignore[misc]
        return found or b""

    async def answers(self, ids: Sequence[int]) -> dict[int, bytes]:
        """The stored answers to these payments, of those that have one."""
        kept = await self._pipeline([("HGET", payment_key(number), "answer") for number in ids])
        return {number: answer for number, answer in zip(ids, kept, strict=True) if answer}

    async def unanswered(self, ids: Sequence[int]) -> list[int]:
        """The payments among these without a stored answer."""
        kept = await self._pipeline([("HEXISTS", payment_key(number), "answer") for number in ids])
        return [number for number, there in zip(ids, kept, strict=True) if not there]

    async def locate(self, ids: Sequence[int]) -> dict[int, Location]:
        """Terminal, second and cents of the payments that are known, whether scored or read from the lake.

        Looked up in chunks, one at a time for all callers, so that payments do not wait for a large report.
        """
        found: dict[int, Location] = {}
        for start in range(0, len(ids), REPORTS_AT_ONCE):
            async with self._reports:
                found |= await self._locate(ids[start : start + REPORTS_AT_ONCE])
        return found

    async def accept_reports(self, reports: Sequence[Report]) -> list[Report]:
        """Merge reports into the histories of their terminals and append them to the outbox; with sequence numbers.

        Raises `OnlineStoreUnavailableError` if the state is incompatible. After an error some may be accepted.
        """
        return [report for part in await self._parts(reports) for report in await self._accept(part)]

    async def merge_reports(self, reports: Sequence[Report]) -> None:
        """Write recorded reports into the histories of their terminals."""
        for part in await self._parts(reports):
            calls = [([terminal_key(number)], [packed]) for number, packed in by_terminal(part).items()]
            async with self._reports:
                await self._run(MERGE_REPORTS, calls)

    async def _accept(self, reports: Sequence[Report]) -> list[Report]:
        entries = by_terminal(reports)
        keys = [APPLIED_KEY, META_KEY, REPORTS_KEY, *map(terminal_key, entries)]
        packed = orjson.dumps([report.as_row() for report in reports])
        async with self._reports:
            answer = await self._call(ACCEPT_REPORTS, keys, [packed, *entries.values()])
        _raise_if_incompatible(answer)
        return [replace(report, applied=int(answer[1])) for report in reports]

    async def _parts(self, reports: Sequence[Report]) -> list[list[Report]]:
        """Reports for one call each: at most `REPORTS_AT_ONCE`, with about `ANSWER_BYTES` of histories."""
        terminals = list({report.location[0] for report in reports})
        sizes = dict(zip(terminals, await self._sizes(terminals), strict=True))
        parts: list[list[Report]] = []
        room, last = 0, None
        for report in sorted(reports, key=lambda report: report.location[0]):
            terminal = report.location[0]
            more = 0 if terminal == last else sizes[terminal]
            if not parts or len(parts[-1]) >= REPORTS_AT_ONCE or more > room:
                parts.append([])
                room, more = ANSWER_BYTES, sizes[terminal]
            parts[-1].append(report)
            room, last = room - more, terminal
        return parts

    async def _sizes(self, terminals: Sequence[int]) -> list[int]:
        """The bytes of the histories of these terminals."""
        found: list[int] = []
        for start in range(0, len(terminals), REPORTS_AT_ONCE):
            chunk = terminals[start : start + REPORTS_AT_ONCE]
            async with self._reports:
                found += await self._pipeline([("STRLEN", terminal_key(number)) for number in chunk])
        return found

    async def _locate(self, ids: Sequence[int]) -> dict[int, Location]:
        keys = [DAYS_KEY, *map(payment_key, ids)]
        arguments = [index_key("").encode(), *(number.to_bytes(8, "big") for number in ids)]
        (locations,) = await self._run(LOCATE, [(keys, arguments)])
        return {number: _unpack_location(packed) for number, packed in zip(ids, locations, strict=True) if packed}


def _keys_of(payment: Payment) -> list[str]:
    return [payment_key(payment.transaction_id), customer_key(payment.customer_id), terminal_key(payment.terminal_id)]


def _claimed(payment: Payment, answer: list[Any], histories: Sequence[bytes]) -> Claimed:
    _raise_if_incompatible(answer)
    if answer[0] == b"conflict":
        return Conflict()
    if answer[0] == b"answered":
        return Answered(answer[1])
    number, customer, terminal = answer
    return Claim(payment, int(number), histories[customer - 1], histories[terminal - 1])


def _other_zone(state: ZoneId, model: ZoneId | None) -> str:
    """Why a model cannot be used with a state of this zone, empty if it can, or if there is no model."""
    if model in (None, state):
        return ""
    of_state, of_model = state.versus(model)
    return f"the online state is for the zone {of_state}, but the model was trained for {of_model}: {REBUILD_ALL}"


def _flag(is_so: bool) -> bytes:
    return b"1" if is_so else b"0"


def _raise_if_incompatible(answer: Sequence[Any]) -> None:
    if answer[0] == b"incompatible":
        raise OnlineStoreUnavailableError(answer[1].decode())


def _unpack_location(packed: bytes) -> Location:
    (location,) = np.frombuffer(packed, dtype=LOCATION).tolist()
    return cast(Location, location)
