"""Forget one customer in the online store: histories, index, claims and responses, and what the streams still hold.

A terminal's entry does not name the customer, but it has the id, the second and the amount of a payment, which the
bank's records attribute; so it goes as well.
"""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np
import orjson
from valkey.asyncio import Valkey

from contracts.online_state import (
    DECISIONS_KEY,
    ERASE_LUA,
    FLOOR_BYTES,
    LOCATION,
    REPORTS_KEY,
    customer_key,
    index_key,
    late_key,
    pack_positions,
    payment_key,
    terminal_key,
    unpack_history,
)
from contracts.transaction import epoch_seconds, from_epoch_seconds
from serving.decision_log import outbox_relay, report_relay

CHUNK: Final = 500
"""Keys or entries of one round trip: payments wait for Valkey meanwhile."""
BODY: Final = struct.Struct(">5q")
CLAIMS: Final = "p:*"
"""Every `payment_key`."""
NOWHERE: Final = -1
Place = tuple[int, int, int]
"""A payment: its id, its terminal (`NOWHERE` if unknown) and its second."""


class StoreErasure:
    """Finds and removes one customer's payments. Methods raise `ValkeyError`."""

    def __init__(self, client: Valkey, customer_id: int) -> None:
        self._client: Any = client  # the package types every answer as possibly awaitable
        self._customer_id = customer_id

    async def payments(self) -> set[Place]:
        """The customer's payments: in its history, claimed or answered, or waiting in a stream."""
        found = await self._claimed()
        for stream in (DECISIONS_KEY, outbox_relay.SET_ASIDE_KEY):
            found |= {place async for _, record in self._decisions(stream) if (place := _place(record))}
        known = {number for number, _, _ in found}
        return found | await self._located([one for one in await self._history() if one[1] not in known])

    async def is_waiting(self, payments: Iterable[Place]) -> bool:
        """Whether a decision on one of these payments, or a report of one, waits for PostgreSQL."""
        gone = _terminals(payments)
        async for _ in self._decisions(DECISIONS_KEY):
            return True
        async for _, fields in self._entries(REPORTS_KEY):
            if any(_is_one_of(row, gone) for row in _reports(fields)):
                return True
        return False

    async def forget(self, payments: Iterable[Place]) -> Counter[str]:
        """Remove these payments, and the customer's history; how many of each kind were there."""
        places = sorted(payments)
        removed = Counter(
            history_entries=len(await self._history()),
            terminal_entries=await self._forget_at_terminals(places),
            index_entries=await self._forget_in_index(places),
            responses=await self._forget_claims(places),
            outbox_entries=await self._forget_in_streams(places),
        )
        key = customer_key(self._customer_id)
        await self._client.delete(key, late_key(key))
        return removed

    async def _history(self) -> list[tuple[int, int]]:
        """The positions (second, id) of the customer's history."""
        key = customer_key(self._customer_id)
        history, late = await self._client.mget(key, late_key(key))
        _, entries = unpack_history((history or bytes(FLOOR_BYTES)) + (late or b""))
        return [(second, number) for second, number, _ in entries.tolist()]

    async def _claimed(self) -> set[Place]:
        found: set[Place] = set()
        cursor = 0
        while True:
            cursor, keys = await self._client.scan(cursor, match=CLAIMS, count=CHUNK)
            for body in await self._pipeline([("HGET", key, "body") for key in keys]):
                if body and len(body) == BODY.size:
                    number, customer, terminal, _, second = BODY.unpack(body)
                    if customer == self._customer_id:
                        found.add((number, terminal, second))
            if not cursor:
                return found

    async def _located(self, positions: Sequence[tuple[int, int]]) -> set[Place]:
        """Payments of the customer's history, with their terminals as far as the index of their day knows them."""
        asked = [("HGET", _index_of(second), number.to_bytes(8, "big")) for second, number in positions]
        found = await self._pipeline(asked)
        places = set()
        for (second, number), packed in zip(positions, found, strict=True):
            terminal, at = _location(packed)
            places.add((number, terminal if at == second else NOWHERE, second))
        return places

    async def _forget_at_terminals(self, places: Sequence[Place]) -> int:
        by_terminal: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        for number, terminal, second in places:
            if terminal != NOWHERE:
                by_terminal[terminal].append((second, number))
        removed = 0
        for terminal, positions in by_terminal.items():
            key = terminal_key(terminal)
            removed += await self._client.eval(ERASE_LUA, 2, key, late_key(key), pack_positions(positions))
        return removed

    async def _forget_in_index(self, places: Sequence[Place]) -> int:
        """Remove payments from the index, unless the id there is another payment's."""
        located = await self._pipeline([("HGET", _index_of(second), _packed(number)) for number, _, second in places])
        gone = [
            ("HDEL", _index_of(second), _packed(number))
            for (number, terminal, second), packed in zip(places, located, strict=True)
            if packed and _location(packed)[1] == second and terminal in (NOWHERE, _location(packed)[0])
        ]
        return sum(await self._pipeline(gone))

    async def _forget_claims(self, places: Sequence[Place]) -> int:
        bodies = await self._pipeline([("HGET", payment_key(number), "body") for number, _, _ in places])
        gone = [
            ("DEL", payment_key(number))
            for (number, _, _), body in zip(places, bodies, strict=True)
            if body and BODY.unpack(body)[1] == self._customer_id
        ]
        return sum(await self._pipeline(gone))

    async def _forget_in_streams(self, places: Sequence[Place]) -> int:
        removed = 0
        for stream in (DECISIONS_KEY, outbox_relay.SET_ASIDE_KEY):
            entries = [entry async for entry, _ in self._decisions(stream)]
            acknowledge = [("XACK", stream, outbox_relay.GROUP, entry) for entry in entries]
            await self._pipeline(acknowledge if stream == DECISIONS_KEY else [])
            removed += sum(await self._pipeline([("XDEL", stream, entry) for entry in entries]))
        gone = _terminals(places)
        for stream in (REPORTS_KEY, report_relay.SET_ASIDE_KEY):
            async for entry, fields in self._entries(stream):
                removed += await self._forget_reports(stream, entry, fields, gone)
        return removed

    async def _forget_reports(
        self, stream: str, entry: bytes, fields: Mapping[bytes, bytes], gone: Mapping[tuple[int, int], int]
    ) -> int:
        """Replace an entry of several reports by one without those of the customer's payments."""
        rows = _reports(fields)
        kept = [row for row in rows if not _is_one_of(row, gone)]
        if len(kept) == len(rows):
            return 0
        async with self._client.pipeline(transaction=True) as pipe:
            if kept:
                pipe.xadd(stream, dict(fields) | {b"reports": orjson.dumps(kept)})
            pipe.xdel(stream, entry)
            await pipe.execute()
        return len(rows) - len(kept)

    async def _decisions(self, stream: str) -> AsyncIterator[tuple[bytes, dict[str, Any]]]:
        """The entries of a stream of decisions that are the customer's."""
        async for entry, fields in self._entries(stream):
            record = _parsed(fields.get(b"decision", b"null"))
            if isinstance(record, dict) and record.get("customer_id") == self._customer_id:
                yield entry, record

    async def _entries(self, stream: str) -> AsyncIterator[tuple[bytes, Mapping[bytes, bytes]]]:
        first = "-"
        while entries := await self._client.xrange(stream, first, count=CHUNK):
            for entry, fields in entries:
                yield entry, fields
            first = f"({entries[-1][0].decode()}"

    async def _pipeline(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        answers: list[Any] = []
        for start in range(0, len(commands), CHUNK):
            async with self._client.pipeline(transaction=False) as pipe:
                for command in commands[start : start + CHUNK]:
                    pipe.execute_command(*command)
                answers += await pipe.execute()
        return answers


def _index_of(second: int) -> str:
    return index_key(from_epoch_seconds(second).date().isoformat())


def _packed(number: int) -> bytes:
    return number.to_bytes(8, "big")


def _location(packed: bytes | None) -> tuple[int, int]:
    """Terminal and second of a packed location; `NOWHERE` without one."""
    if not packed:
        return NOWHERE, NOWHERE
    ((terminal, second, _),) = np.frombuffer(packed, dtype=LOCATION).tolist()
    return terminal, second


def _parsed(value: bytes) -> Any:
    """A JSON value, None if it is damaged, as what was set aside may be."""
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return None


def _reports(fields: Mapping[bytes, bytes]) -> list[Any]:
    """The reports of a stream's entry."""
    rows = _parsed(fields.get(b"reports", b"null"))
    return rows if isinstance(rows, list) else []


def _terminals(payments: Iterable[Place]) -> dict[tuple[int, int], int]:
    """The terminals of payments, by id and second."""
    return {(number, second): terminal for number, terminal, second in payments}


def _is_one_of(row: Any, gone: Mapping[tuple[int, int], int]) -> bool:
    place = _place(row) if isinstance(row, dict) else None
    return place is not None and gone.get((place[0], place[2])) in (place[1], NOWHERE)


def _place(row: Mapping[str, Any]) -> Place | None:
    """The payment of a decision or a report, as JSON has it; None if it is damaged."""
    try:
        second = epoch_seconds(datetime.fromisoformat(row["occurred_at"]))
        place = int(row["transaction_id"]), int(row["terminal_id"]), second
    except (KeyError, TypeError, ValueError):
        return None
    return place if min(place) >= 0 else None
