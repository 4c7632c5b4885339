"""What late payments do to a comparison of the scorer's features with the lake's.

A late payment comes after a later one of its customer or terminal was applied. It is scored as of its own time, on
what is then known, and changes no answer given before. The lake, which knows it from the start, lets its followers see
it; so the followers that were answered before it came differ, and must: a comparison counts them apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contracts.features import WINDOW_DAYS
from contracts.labels import DAY, LABEL_DELAY

Ints = NDArray[np.int64]
LONGEST = max(WINDOW_DAYS) * DAY


def touched_by_late(
    customer_id: Ints, terminal_id: Ints, occurred: Ints, transaction_id: Ints, applied: Ints
) -> NDArray[np.bool_]:
    """Which payments were answered without a late payment that the lake lets them see; shape (n,).

    `applied` is each payment's number in the order in which the scorer applied them. Exactly these differ from the
    lake: a late payment always changes the longest window's count of those that should have seen it.
    """
    order = np.lexsort((transaction_id, occurred))
    touched = np.zeros(len(occurred), dtype=bool)
    for entity, nearest in ((customer_id, 0), (terminal_id, LABEL_DELAY)):
        by_entity = order[np.argsort(entity[order], kind="stable")]
        touched[by_entity] |= _followers(entity[by_entity], occurred[by_entity], applied[by_entity], nearest)
    return touched


def _followers(entity: Ints, occurred: Ints, applied: Ints, nearest: int) -> NDArray[np.bool_]:
    touched = np.zeros(len(entity), dtype=bool)
    for late in _late(entity, applied):
        later = slice(late + 1, np.searchsorted(entity, entity[late], side="right"))
        ago = occurred[later] - occurred[late] - nearest
        touched[later] |= (applied[later] < applied[late]) & (ago >= 0) & (ago < LONGEST)
    return touched


def _late(entity: Ints, applied: Ints) -> Ints:
    """Positions of the payments that were applied after a later one of their entity."""
    if len(entity) == 0:
        return np.empty(0, dtype=np.int64)
    rank = np.concatenate(([0], np.cumsum(entity[1:] != entity[:-1])))
    shifted = applied + rank * (int(applied.max()) + 1)
    earliest_from_here_on = np.minimum.accumulate(shifted[::-1])[::-1]
    return np.flatnonzero(earliest_from_here_on < shifted)
