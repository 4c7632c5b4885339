"""Vectorised searches in the sorted histories of many entities, stored as flat arrays.

A history is a set of arrays of length n, sorted by (entity, occurred, transaction_id); `rows` are the indices of
the rows whose features to compute. Instants are whole seconds since 1970. The scorer computes single payments, where
the overhead of each NumPy call dominates, so the code makes as few calls as possible.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class History:
    """Maps (entity, second) to one integer key, so that a search over many entities is a single `searchsorted`.

    `reach` is the longest window, in seconds. Raises ValueError if the history is not sorted.
    """

    def __init__(self, entity: Ints, occurred: Ints, rows: Ints, reach: int) -> None:
        self.occurred, self.rows = occurred, rows
        self._rank = np.zeros(len(entity), dtype=np.int64)
        np.cumsum(entity[1:] != entity[:-1], out=self._rank[1:])
        # A gap of `reach` below each entity's earliest second keeps searches from running into the previous entity;
        # events up to `reach` after an entity's latest payment fall into the next entity's gap, before its payments.
        self._base = int(occurred.min()) - reach if len(occurred) else 0
        self._span = int(occurred.max()) - self._base + 1 if len(occurred) else 1
        self._keys = self._rank * self._span + (occurred - self._base)
        if (entity[1:] < entity[:-1]).any() or (self._keys[1:] < self._keys[:-1]).any():
            raise ValueError("the history must be sorted by entity and time")
        self._asking = self._keys[rows]

    def first_after(self, ago: int) -> Ints:
        """For each row at time t, the position of its entity's first payment after t - `ago` seconds; shape (rows,)."""
        return self._keys.searchsorted(self._asking - ago, side="right")

    def arrived(self, positions: Ints, ago: Ints) -> Ints:
        """For each row at time t, the number of events up to t; shape (rows,).

        Events are `ago` seconds after the payments at `positions`. Events of all preceding entities are included; they
        cancel out in the difference of two such counts.
        """
        events = self._keys[positions] + ago
        events.sort()
        return events.searchsorted(self._asking, side="right")


def prefix_sums(values: Ints) -> Ints:
    """The sums of the first 0, 1, ... n values, shape (n + 1,)."""
    return np.concatenate(([0], np.cumsum(values, dtype=np.int64)))


def latest(chosen: Bools) -> Ints:
    """For each position 0 to n, the last chosen position before it, -1 if there is none; shape (n + 1,)."""
    at = np.where(chosen, np.arange(len(chosen)), -1)
    return np.concatenate(([-1], np.maximum.accumulate(at)))
