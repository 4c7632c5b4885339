"""Sorted histories of many entities as flat arrays, searched for all rows at once.

A history is a set of arrays of one length n, sorted by (entity, occurred, transaction_id); `rows` are the positions of
the payments that ask. Instants are whole seconds since 1970. The scorer asks for single payments: there each call of
NumPy costs more than what it computes, so that calls are saved.
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

    def __init__(self, entity: Ints, occurred: Ints, rows: Ints, reach: int) -> None:
        self.occurred, self.rows = occurred, rows
        self._rank = np.zeros(len(entity), dtype=np.int64)
        np.cumsum(entity[1:] != entity[:-1], out=self._rank[1:])
        # Room below the earliest second for the longest look back, so that no search strays into the entity before;
        # an event up to as much after the latest payment falls into the same room of the next, before its payments.
        self._base = int(occurred.min()) - reach if len(occurred) else 0
        self._span = int(occurred.max()) - self._base + 1 if len(occurred) else 1
        self._keys = self._rank * self._span + (occurred - self._base)
        if (entity[1:] < entity[:-1]).any() or (self._keys[1:] < self._keys[:-1]).any():
            raise ValueError("the history must be sorted by entity and time")
        self._asking = self._keys[rows]

    def first_after(self, ago: int) -> Ints:
        """For each row, the position of its entity's first payment later than `ago` seconds before it."""
        return self._keys.searchsorted(self._asking - ago, side="right")

    def arrived(self, positions: Ints, ago: Ints) -> Ints:
        """For each row, how many events (`ago` seconds after the payments at `positions`) had come by then.

        Events of the entities before it count as well: they cancel out in a difference of two such counts.
        """
        events = self._keys[positions] + ago
        events.sort()
        return events.searchsorted(self._asking, side="right")


def prefix_sums(values: Ints) -> Ints:
    """The sums of the first 0, 1, ... n values, shape (n + 1,)."""
    return np.concatenate(([0], np.cumsum(values, dtype=np.int64)))


def latest(chosen: Bools) -> Ints:
    """For each position 0 to n, the last chosen one before it, -1 where there is none; shape (n + 1,)."""
    at = np.where(chosen, np.arange(len(chosen)), -1)
    return np.concatenate(([-1], np.maximum.accumulate(at)))
