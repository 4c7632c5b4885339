"""Find the payments whose online and offline features differ because of late payments, and the days they change.

A payment is late if the scorer applied it after a later payment of its customer or terminal. It is scored as of its
own time and does not change earlier answers. Offline, the lake has it from the start and includes it in the features
of the payments after it. Those that were scored before it arrived therefore differ, rightly, and a comparison counts
them separately.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from contracts.features import CUSTOMER_HORIZON_DAYS, TERMINAL_HORIZON_DAYS, WINDOW_DAYS
from contracts.labels import DAY, LABEL_DELAY

Ints = NDArray[np.int64]
LONGEST = max(WINDOW_DAYS) * DAY
HORIZON_DAYS = max(CUSTOMER_HORIZON_DAYS, TERMINAL_HORIZON_DAYS)


def touched_by_late(
    customer_id: Ints, terminal_id: Ints, occurred: Ints, transaction_id: Ints, applied: Ints
) -> NDArray[np.bool_]:
    """Whether each payment was scored without a late payment that its offline features include; shape (n,).

    `applied` is the sequence number with which the scorer applied each payment. Exactly these payments differ from the
    lake, because a late payment always changes the count of the longest window of the payments after it.
    """
    order = np.lexsort((transaction_id, occurred))
    touched = np.zeros(len(occurred), dtype=bool)
    for entity, nearest in ((customer_id, 0), (terminal_id, LABEL_DELAY)):
        by_entity = order[np.argsort(entity[order], kind="stable")]
        touched[by_entity] |= _followers(entity[by_entity], occurred[by_entity], applied[by_entity], nearest)
    return touched


def may_depend_on(
    customer_id: Ints, terminal_id: Ints, occurred: Ints, other: tuple[int, int, int]
) -> NDArray[np.bool_]:
    """Whether the features of each payment may depend on another one (customer, terminal, second); shape (n,)."""
    customer, terminal, second = other
    ago = occurred - second
    by_customer = (customer_id == customer) & (ago >= 0) & (ago < LONGEST)
    visible = ago - LABEL_DELAY
    return np.asarray(by_customer | ((terminal_id == terminal) & (visible >= 0) & (visible < LONGEST)))


def days_depending_on(changed: Iterable[date], days: Iterable[date]) -> list[date]:
    """Those of `days` whose features depend on rows of the `changed` days, in order; a day depends on itself."""
    late = sorted(changed)
    return [day for day in sorted(days) if any(one <= day <= one + timedelta(days=HORIZON_DAYS) for one in late)]


def _followers(entity: Ints, occurred: Ints, applied: Ints, nearest: int) -> NDArray[np.bool_]:
    touched = np.zeros(len(entity), dtype=bool)
    for late in _late(entity, applied):
        later = slice(late + 1, np.searchsorted(entity, entity[late], side="right"))
        ago = occurred[later] - occurred[late] - nearest
        touched[later] |= (applied[later] < applied[late]) & (ago >= 0) & (ago < LONGEST)
    return touched


def _late(entity: Ints, applied: Ints) -> Ints:
    """The positions of payments that were applied after a later payment of their entity."""
    if len(entity) == 0:
        return np.empty(0, dtype=np.int64)
    rank = np.concatenate(([0], np.cumsum(entity[1:] != entity[:-1])))
    shifted = applied + rank * (int(applied.max()) + 1)
    smallest_to_the_end = np.minimum.accumulate(shifted[::-1])[::-1]
    return np.flatnonzero(smallest_to_the_end < shifted)
