"""Features of claimed payments from their histories, by the kernel of `contracts/kernel.py`, in one call."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.compiled import load
from contracts.histories import Floats, Ints
from contracts.online_state import ENTRY, FLOOR_BYTES, WORD
from contracts.zones import UTC, Zone
from serving.online_store.protocol import Claim
from serving.scoring.payment import POSITION_BYTES

SIZE: Final = ENTRY.itemsize
Words = NDArray[np.uint64]


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
    """One side's histories, each once, as the kernel takes them packed."""

    words: Words
    starts: Ints
    """The word at which each history starts, and after the last one, where it ends."""
    asked: Ints
    """Each payment's history, and the index of its own entry there; shape (n, 2)."""
    late: list[bool]

    @property
    def packed(self) -> tuple[Words, Ints, Ints]:
        """The arguments of the kernel."""
        return self.words, self.starts, self.asked


def compute_features(claims: Sequence[Claim], zone: Zone = UTC) -> Computed:
    """The features of each claimed payment as of its own position in time, in one call of the kernel.

    `zone` is that of the model that scores them.
    """
    payments = [claim.payment for claim in claims]
    customer = _side([claim.customer for claim in claims], [payment.customer_entry for payment in payments])
    terminal = _side([claim.terminal for claim in claims], [payment.terminal_entry for payment in payments])
    own = np.array([(payment.second, payment.cents) for payment in payments], dtype=np.int64)
    matrix, degraded = load().online(*customer.packed, *terminal.packed, own, *zone.table)
    late = [one or other for one, other in zip(customer.late, terminal.late, strict=True)]
    return Computed(matrix, degraded, np.array(late, dtype=bool))


def _side(histories: Sequence[bytes], own: Sequence[bytes]) -> _Side:
    """The kernel's input from n histories and the n payments' own entries. One history may be that of several payments.

    It may continue past a payment's entry: the kernel reads nothing there.
    """
    slots: dict[int, int] = {}
    unique: list[bytes] = []
    asked: list[tuple[int, int]] = []
    missing: list[bool] = []
    for history, entry in zip(histories, own, strict=True):
        index, there = _find(history, entry)
        if not there:
            # Too old to be kept: the payment has a history of its own.
            at = FLOOR_BYTES + index * SIZE
            history = history[:at] + entry  # noqa: PLW2901
        slot = slots.setdefault(id(history), len(unique))
        if slot == len(unique):
            unique.append(history)
        asked.append((slot, index))
        missing.append(not there)
    starts = [0]
    for history in unique:
        starts.append(starts[-1] + len(history) // WORD)
    return _Side(
        np.frombuffer(unique[0] if len(unique) == 1 else b"".join(unique), dtype=np.uint64),
        np.array(starts, dtype=np.int64),
        np.array(asked, dtype=np.int64),
        _late(asked, [len(history) // SIZE for history in unique], missing),
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


def _late(asked: Sequence[tuple[int, int]], counts: Sequence[int], missing: Sequence[bool]) -> list[bool]:
    """Whether a payment is missing in its history, or an entry after its own is not one of this call's payments."""
    after = [counts[slot] - 1 - index for slot, index in asked]
    if not any(after):
        return list(missing)
    own = sorted(set(asked), reverse=True)
    follow = {place: n for _, group in groupby(own, key=itemgetter(0)) for n, place in enumerate(group)}
    return [gone or n > follow[place] for gone, n, place in zip(missing, after, asked, strict=True)]
