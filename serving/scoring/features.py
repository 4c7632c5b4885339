"""Features of claimed payments from their histories, by the kernel of `contracts/features.py`."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
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
from serving.online_store.protocol import Claim
from serving.scoring.payment import POSITION_BYTES

SIZE: Final = ENTRY.itemsize


@dataclass(frozen=True)
class Computed:
    """The features of n payments, shape (n, features), and two flags of shape (n,).

    `degraded`: a history does not reach back to the payment's horizon. `late`: the payment came after a later one of
    its customer or its terminal.
    """

    matrix: Floats
    degraded: NDArray[np.bool_]
    late: NDArray[np.bool_]


@dataclass(frozen=True)
class _Part:
    """One entity's history up to a payment's position, the payment last."""

    entries: bytes
    floor: int
    late: bool


def compute_features(claims: Sequence[Claim]) -> Computed:
    """The features of each claimed payment as of its own position in time, in one call of the kernel."""
    payments = [claim.payment for claim in claims]
    customers = [_as_of(claim.customer, claim.payment.customer_entry) for claim in claims]
    terminals = [_as_of(claim.terminal, claim.payment.terminal_entry) for claim in claims]
    occurred = np.array([payment.second for payment in payments], dtype=np.int64)
    cents = np.array([payment.cents for payment in payments], dtype=np.int64)
    customer_columns, terminal_columns = _side_by_side(customers), _side_by_side(terminals)
    degraded = _degraded(customers, occurred, CUSTOMER_HORIZON_DAYS) | _degraded(
        terminals, occurred, TERMINAL_HORIZON_DAYS
    )
    late = np.array([c.late or t.late for c, t in zip(customers, terminals, strict=True)], dtype=bool)
    entity, seconds, values, rows = terminal_columns
    terminal_cents, reported = unpack_reported(values)
    matrix = feature_matrix(
        payment_features(occurred, cents)
        | customer_features(*customer_columns)
        | terminal_features(entity, seconds, terminal_cents, reported, rows)
    )
    return Computed(matrix, degraded, late)


def _as_of(history: bytes, entry: bytes) -> _Part:
    """Cut a history after the payment's own entry, which is inserted if it was too old to be kept."""
    position = entry[:POSITION_BYTES]
    floor = int.from_bytes(history[:FLOOR_BYTES], "big")
    if history[-SIZE : POSITION_BYTES - SIZE] == position:
        return _Part(history[FLOOR_BYTES:], floor, late=False)
    entries = history[FLOOR_BYTES:]
    # Entries are big-endian and never negative, so their bytes sort as their positions do.
    before = bisect_left(
        range(len(entries) // SIZE), position, key=lambda n: entries[n * SIZE : n * SIZE + POSITION_BYTES]
    )
    kept = entries[before * SIZE : (before + 1) * SIZE]
    own = kept if kept.startswith(position) else entry
    return _Part(entries[: before * SIZE] + own, floor, late=True)


def _side_by_side(parts: Sequence[_Part]) -> tuple[Ints, Ints, Ints, Ints]:
    """The kernel's input: each payment's history as an entity of its own, and the row of each payment."""
    entries = np.frombuffer(b"".join(part.entries for part in parts), dtype=ENTRY)
    counts = np.array([len(part.entries) // SIZE for part in parts], dtype=np.int64)
    entity = np.repeat(np.arange(len(parts), dtype=np.int64), counts)
    occurred, values = entries["occurred"].astype(np.int64), entries["value"].astype(np.int64)
    return entity, occurred, values, np.cumsum(counts) - 1


def _degraded(parts: Sequence[_Part], occurred: Ints, horizon_days: int) -> NDArray[np.bool_]:
    floors = np.array([part.floor for part in parts], dtype=np.int64)
    return np.asarray(floors > occurred - horizon_days * DAY)
