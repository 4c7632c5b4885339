"""Sorted histories of many entities as flat arrays, searched for all rows at once.

A history is a set of arrays of one length n, sorted by (entity, occurred, transaction_id); `rows` are the positions of
the payments that ask. Instants are whole seconds since 1970.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class History:
    """One integer for each (entity, second), so that a search over many entities is a single `searchsorted`.

    `reach` is the longest look back, in seconds. Raises ValueError where the history is not sorted.
    """

    def __init__(self, entity: Ints, occurred: Ints, reach: int) -> None:
        steps = entity[1:] != entity[:-1]
        if np.any(entity[1:] < entity[:-1]) or np.any(~steps & (occurred[1:] < occurred[:-1])):
            raise ValueError("the history must be sorted by entity and time")
        self.occurred = occurred
        self._rank = np.concatenate(([0], np.cumsum(steps)))[: len(entity)].astype(np.int64)
        # Room below the earliest second for the longest look back, so that no search strays into the entity before;
        # an event up to as much after the latest payment falls into the same room of the next, before its payments.
        self._base = int(occurred.min()) - reach if len(occurred) else 0
        self._span = int(occurred.max()) - self._base + 1 if len(occurred) else 1
        self._keys = self._key(self._rank, occurred)

    def _key(self, rank: Ints, second: Ints) -> Ints:
        return rank * self._span + (second - self._base)

    def first_after(self, rows: Ints, ago: int) -> Ints:
        """For each row, the position of its entity's first payment later than `ago` seconds before it."""
        return self._keys.searchsorted(self._key(self._rank[rows], self.occurred[rows] - ago), side="right")

    def arrived(self, positions: Ints, seconds: Ints, rows: Ints) -> Ints:
        """For each row, how many events (of the entities at `positions`, at `seconds`) had come by then.

        Events of the entities before it count as well: they cancel out in a difference of two such counts.
        """
        events = np.sort(self._key(self._rank[positions], seconds))
        return events.searchsorted(self._keys[rows], side="right")


def prefix_sums(values: Ints) -> Ints:
    """The sums of the first 0, 1, ... n values, shape (n + 1,)."""
    return np.concatenate(([0], np.cumsum(values, dtype=np.int64)))


def latest(chosen: Bools) -> Ints:
    """For each position 0 to n, the last chosen one before it, -1 where there is none; shape (n + 1,)."""
    at = np.where(chosen, np.arange(len(chosen)), -1)
    return np.concatenate(([-1], np.maximum.accumulate(at)))
