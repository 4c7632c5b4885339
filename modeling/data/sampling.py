"""Fewer genuine payments to learn from: frauds are a hundredth, and more of what is plain teaches little.

On the published data a quarter of the genuine payments of 90 days is enough (docs/decisions/0017-bins.md). Frauds are
never left out, nor made up.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

ROWS_AT_MOST: Final = 200_000
"""From more rows scikit-learn's boosted trees would draw so many at random, to find their bins."""
SEED: Final = 0


def sample_genuine(
    frauds: NDArray[np.bool_], at_most: int = ROWS_AT_MOST
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The positions, in order, of all frauds and of as many genuine payments as there is room for, at random.

    With the weight of each: every genuine payment weighs what makes them count together as all would, so that
    probabilities stay what they were. There are never fewer of them than frauds, unless there are no more.
    """
    genuine = np.flatnonzero(~frauds)
    stolen = len(frauds) - len(genuine)
    room = min(max(at_most - stolen, stolen), len(genuine))
    kept = np.random.default_rng(SEED).choice(genuine, room, replace=False)
    rows = np.sort(np.concatenate([np.flatnonzero(frauds), kept]))
    return rows, np.where(frauds[rows], 1.0, len(genuine) / max(room, 1))
