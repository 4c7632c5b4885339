"""Features of claimed payments from their histories, by the kernel of `contracts/features.py`."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.features import (
    CUSTOMER_HORIZON_DAYS,
    TERMINAL_HORIZON_DAYS,
    customer_features,
    feature_matrix,
    payment_features,
    terminal_features,
)
from contracts.histories import Floats, Ints
from contracts.labels import DAY
from contracts.online_state import ENTRY, FLOOR_BYTES, unpack_reported
from contracts.zones import UTC, Zone
from serving.online_store.protocol import Claim
from serving.scoring.payment import POSITION_BYTES

SIZE: Final = ENTRY.itemsize


@dataclass(frozen=True)
class Computed:
    """The features of n payments, shape (n, features), and two flags of shape (n,).

    `degraded`: a history does not reach back to the payment's horizon. `late`: the payment came after a later one of
    its customer or its terminal, other than those that are claimed with it.
    """

    matrix: Floats
    degraded: NDArray[np.bool_]
    late: NDArray[np.bool_]


@dataclass(frozen=True)
class _Side:
    """One side's histories, each once, as the kernel takes them; and the index of each payment's own entry."""

    entity: Ints
    occurred: Ints
    values: Ints
    rows: Ints
    floors: Ints
    """The floor of each payment's history."""
    late: NDArray[np.bool_]


def compute_features(claims: Sequence[Claim], zone: Zone = UTC) -> Computed:
    """The features of each claimed payment as of its own position in time, in one call of the kernel.

    `zone` is that of the model that scores them.
    """
    payments = [claim.payment for claim in claims]
    customer = _side([claim.customer for claim in claims], [payment.customer_entry for payment in payments])
    terminal = _side([claim.terminal for claim in claims], [payment.terminal_entry for payment in payments])
    occurred = np.array([payment.second for payment in payments], dtype=np.int64)
    cents = np.array([payment.cents for payment in payments], dtype=np.int64)
    terminal_cents, reported = unpack_reported(terminal.values)
    matrix = feature_matrix(
        payment_features(occurred, cents, zone)
        | customer_features(customer.entity, customer.occurred, customer.values, customer.rows)
        | terminal_features(terminal.entity, terminal.occurred, terminal_cents, reported, terminal.rows)
    )
    degraded = (customer.floors > occurred - CUSTOMER_HORIZON_DAYS * DAY) | (
        terminal.floors > occurred - TERMINAL_HORIZON_DAYS * DAY
    )
    return Computed(matrix, degraded, customer.late | terminal.late)


def _side(histories: Sequence[bytes], own: Sequence[bytes]) -> _Side:
    """The kernel's input from n histories and the n payments' own entries. One history may be that of several payments.

    It may continue past a payment's entry: the kernel reads nothing there.
    """
    slots: dict[int, int] = {}
    unique: list[bytes] = []
    slot, row, missing = [], [], []
    for history, entry in zip(histories, own, strict=True):
        index, there = _find(history, entry)
        if not there:
            # Too old to be kept: the payment has a history of its own.
            at = FLOOR_BYTES + index * SIZE
            history = history[:at] + entry  # noqa: PLW2901
        known = slots.setdefault(id(history), len(unique))
        if known == len(unique):
            unique.append(history)
        slot.append(known)
        row.append(index)
        missing.append(not there)
    entries = np.frombuffer(b"".join([memoryview(history)[FLOOR_BYTES:] for history in unique]), dtype=ENTRY)
    counts = np.array([len(history) // SIZE for history in unique], dtype=np.int64)
    floors = np.array([int.from_bytes(history[:FLOOR_BYTES], "big") for history in unique], dtype=np.int64)
    slots_of, rows_of = np.array(slot, dtype=np.int64), np.array(row, dtype=np.int64)
    return _Side(
        np.repeat(np.arange(len(unique), dtype=np.int64), counts),
        entries["occurred"].astype(np.int64),
        entries["value"].astype(np.int64),
        (np.cumsum(counts) - counts)[slots_of] + rows_of,
        floors[slots_of],
        _late(slots_of, rows_of, counts) | np.array(missing, dtype=bool),
    )


def _find(history: bytes, entry: bytes) -> tuple[int, bool]:
    """The index of a payment's own entry in its history, and whether it is there; else where it belongs."""
    position, last = entry[:POSITION_BYTES], len(history) // SIZE - 1
    if history[-SIZE : POSITION_BYTES - SIZE] == position:
        return last, True

    def at(n: int) -> bytes:
        return history[FLOOR_BYTES + n * SIZE : FLOOR_BYTES + n * SIZE + POSITION_BYTES]

    # Entries are big-endian and never negative, so their bytes sort as their positions do.
    index = bisect_left(range(last + 1), position, key=at)
    return index, index <= last and at(index) == position


def _late(slot: Ints, row: Ints, counts: Ints) -> NDArray[np.bool_]:
    """Whether a history has an entry after a payment's own that is not one of this call's payments; shape (n,)."""
    after = counts[slot] - 1 - row
    if not after.any():
        return after > 0
    own = sorted(set(zip(slot.tolist(), row.tolist(), strict=True)), reverse=True)
    follow = {place: n for _, group in groupby(own, key=itemgetter(0)) for n, place in enumerate(group)}
    later = [follow[place] for place in zip(slot.tolist(), row.tolist(), strict=True)]
    return after > np.array(later)
