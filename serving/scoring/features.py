"""Features of claimed payments from their histories, by the kernel of `contracts/kernel.py`, in one call."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate, groupby
from operator import itemgetter
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contracts.compiled import load
from contracts.histories import Floats
from contracts.online_state import ENTRY, FLOOR_BYTES, WORD
from contracts.zones import UTC, Zone
from serving.online_store.protocol import Claim
from serving.scoring.payment import POSITION_BYTES

SIZE: Final = ENTRY.itemsize


class Computed(NamedTuple):
    """The features of n payments, shape (n, features), and two flags of shape (n,).

    `degraded`: a history does not reach back to the payment's horizon. `late`: the payment came after a later one of
    its customer or its terminal, other than those that are claimed with it.
    """

    matrix: Floats
    degraded: NDArray[np.bool_]
    late: NDArray[np.bool_]


class _Histories:
    """One side's histories, each once, and where each payment's own entry is in them.

    A history may continue past a payment's entry: the kernel reads nothing there.
    """

    def __init__(self, histories: Iterable[bytes], own: Iterable[bytes]) -> None:
        """`histories` and the payments' `own` entries, of n payments. One history may be that of several.

        Raises ValueError for a damaged history: the compiled kernel checks no bounds.
        """
        self.unique: list[bytes] = []
        self.asked: list[tuple[int, int]] = []
        """Each payment's history, and the index of its own entry there."""
        self._missing: list[bool] = []
        slots: dict[int, int] = {}
        for history, entry in zip(histories, own, strict=True):
            if len(history) % SIZE != FLOOR_BYTES:
                raise ValueError(f"a history has {len(history)} bytes: not its floor and whole entries")
            index, there = _find(history, entry)
            if not there:
                # Too old to be kept: the payment has a history of its own.
                at = FLOOR_BYTES + index * SIZE
                history = history[:at] + entry  # noqa: PLW2901
            slot = slots.setdefault(id(history), len(self.unique))
            if slot == len(self.unique):
                self.unique.append(history)
            self.asked.append((slot, index))
            self._missing.append(not there)

    def late(self) -> list[bool]:
        """Whether a payment is missing in its history, or an entry after its own is not one of this call's payments."""
        after = [len(self.unique[slot]) // SIZE - 1 - index for slot, index in self.asked]
        if not any(after):
            return self._missing
        places = sorted(set(self.asked), reverse=True)
        follow = {place: n for _, group in groupby(places, key=itemgetter(0)) for n, place in enumerate(group)}
        return [gone or n > follow[at] for gone, n, at in zip(self._missing, after, self.asked, strict=True)]


def compute_features(claims: Sequence[Claim], zone: Zone = UTC) -> Computed:
    """The features of each claimed payment as of its own position in time, in one call of the kernel.

    `zone` is that of the model that scores them.
    """
    payments = [claim.payment for claim in claims]
    customers = _Histories([claim.customer for claim in claims], [payment.customer_entry for payment in payments])
    terminals = _Histories([claim.terminal for claim in claims], [payment.terminal_entry for payment in payments])
    before = len(customers.unique)
    rows = [
        (*customer, before + slot, index, payment.second, payment.cents)
        for customer, (slot, index), payment in zip(customers.asked, terminals.asked, payments, strict=True)
    ]
    histories = customers.unique + terminals.unique
    matrix, degraded = load().online(
        np.frombuffer(b"".join(histories), dtype=np.uint64),
        np.array([0, *accumulate(len(history) // WORD for history in histories)], dtype=np.int64),
        np.array(rows, dtype=np.int64),
        *zone.table,
    )
    late = [one or other for one, other in zip(customers.late(), terminals.late(), strict=True)]
    return Computed(matrix, degraded, np.array(late, dtype=np.bool_))


def _find(history: bytes, entry: bytes) -> tuple[int, bool]:
    """The index of a payment's own entry in its history, and whether it is there; else where it belongs."""
    last = len(history) // SIZE - 1
    if history.endswith(entry):
        return last, True
    position = entry[:POSITION_BYTES]

    def at(n: int) -> bytes:
        return history[FLOOR_BYTES + n * SIZE : FLOOR_BYTES + n * SIZE + POSITION_BYTES]

    # Entries are big-endian and never negative, so their bytes sort as their positions do.
    index = bisect_left(range(last + 1), position, key=at)
    return index, index <= last and at(index) == position
