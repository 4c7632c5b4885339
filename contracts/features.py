"""The features: their names, in order, and the one kernel that computes them.

Spark applies the kernel to whole sorted partitions, the scorer to one customer's and one terminal's recent history; so
the two cannot disagree. For that, everything summed is an exact integer (cents, counts), and a float appears only in
the last division.

A history is a set of arrays of one length n, sorted by (entity, occurred, transaction_id); `rows` are the positions
whose features are wanted. Instants are whole seconds since 1970. A payment's place in time is (occurred,
transaction_id): it sees the payments of its entity that come before it in that order, and itself.

The base set is the one the Fraud Detection Handbook describes in its chapter on feature transformation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.labels import DAY, LABEL_DELAY, LABEL_DELAY_DAYS, known_from

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

WINDOW_DAYS: Final = (1, 7, 30)
PAYMENT_FEATURES: Final = ("amount", "is_weekend", "is_night")
CUSTOMER_FEATURES: Final = tuple(
    name for w in WINDOW_DAYS for name in (f"customer_tx_count_{w}d", f"customer_amount_mean_{w}d")
)
TERMINAL_FEATURES: Final = tuple(
    name for w in WINDOW_DAYS for name in (f"terminal_tx_count_{w}d", f"terminal_fraud_rate_{w}d")
)
FEATURES: Final = PAYMENT_FEATURES + CUSTOMER_FEATURES + TERMINAL_FEATURES
FEATURES_VERSION: Final = "1"
"""Changes whenever a feature's name, order or meaning does; a scorer refuses a model made for another."""

CUSTOMER_HORIZON_DAYS: Final = LABEL_DELAY_DAYS + max(WINDOW_DAYS)
TERMINAL_HORIZON_DAYS: Final = LABEL_DELAY_DAYS + max(WINDOW_DAYS)
"""No feature of a payment at t depends on anything at or before t - horizon."""

LAST_NIGHT_HOUR: Final = 6
_FIRST_WEEKDAY: Final = 3  # 1970-01-01 was a Thursday


def payment_features(occurred: Ints, cents: Ints) -> dict[str, Floats]:
    """What the payment says of itself: `PAYMENT_FEATURES`, each of shape (n,)."""
    weekday = (occurred // DAY + _FIRST_WEEKDAY) % 7
    hour = occurred % DAY // 3600
    return {
        "amount": cents / 100,
        "is_weekend": (weekday >= 5).astype(np.float64),
        "is_night": (hour <= LAST_NIGHT_HOUR).astype(np.float64),
    }


def customer_features(entity: Ints, occurred: Ints, cents: Ints, rows: Ints) -> dict[str, Floats]:
    """`CUSTOMER_FEATURES` of the payments at `rows`, each of shape (len(rows),), over (t - w, t].

    Raises ValueError where the history is not sorted.
    """
    keys = _Keys(entity, occurred)
    total = _prefix_sums(cents)
    features: dict[str, Floats] = {}
    for days in WINDOW_DAYS:
        start = keys.first_after(rows, days * DAY)
        count = rows + 1 - start
        features[f"customer_tx_count_{days}d"] = count.astype(np.float64)
        features[f"customer_amount_mean_{days}d"] = (total[rows + 1] - total[start]) / (100 * count)
    return features


def terminal_features(entity: Ints, occurred: Ints, reported: Ints, rows: Ints) -> dict[str, Floats]:
    """`TERMINAL_FEATURES` of the payments at `rows`, each of shape (len(rows),), over (t - delay - w, t - delay].

    `reported` is the second of each payment's earliest fraud report, `NEVER` without one. The rate is the share of the
    window's payments known at t to be frauds, 0 where the window is empty. Raises ValueError where the history is not
    sorted.
    """
    keys = _Keys(entity, occurred)
    known = known_from(occurred, reported)
    end = keys.first_after(rows, LABEL_DELAY)
    features: dict[str, Floats] = {}
    for days in WINDOW_DAYS:
        count = end - keys.first_after(rows, LABEL_DELAY + days * DAY)
        # A fraud counts from when it is known until it leaves the window, however late its report was.
        gone = occurred + LABEL_DELAY + days * DAY
        seen = np.flatnonzero(known < gone)
        frauds = keys.arrived(seen, known[seen], rows) - keys.arrived(seen, gone[seen], rows)
        features[f"terminal_tx_count_{days}d"] = count.astype(np.float64)
        features[f"terminal_fraud_rate_{days}d"] = frauds / np.maximum(count, 1)
    return features


def feature_matrix(parts: Mapping[str, Floats]) -> Floats:
    """The features side by side in the contract's order, shape (n, len(FEATURES)); KeyError if one is missing."""
    return np.column_stack([parts[name] for name in FEATURES])


class _Keys:
    """One integer for each (entity, second), so that a search over many entities is a single `searchsorted`."""

    def __init__(self, entity: Ints, occurred: Ints) -> None:
        steps = entity[1:] != entity[:-1]
        if np.any(entity[1:] < entity[:-1]) or np.any(~steps & (occurred[1:] < occurred[:-1])):
            raise ValueError("the history must be sorted by entity and time")
        self._occurred = occurred
        self._rank = np.concatenate(([0], np.cumsum(steps)))[: len(entity)].astype(np.int64)
        # Room below the earliest second for the longest look back, so that no search strays into the entity before;
        # an event up to as much after the latest payment falls into the same room of the next, before its payments.
        reach = LABEL_DELAY + max(WINDOW_DAYS) * DAY
        self._base = int(occurred.min()) - reach if len(occurred) else 0
        self._span = int(occurred.max()) - self._base + 1 if len(occurred) else 1
        self._keys = self._key(self._rank, occurred)

    def _key(self, rank: Ints, second: Ints) -> Ints:
        return rank * self._span + (second - self._base)

    def first_after(self, rows: Ints, ago: int) -> Ints:
        """For each row, the position of its entity's first payment later than `ago` seconds before it."""
        return self._keys.searchsorted(self._key(self._rank[rows], self._occurred[rows] - ago), side="right")

    def arrived(self, positions: Ints, seconds: Ints, rows: Ints) -> Ints:
        """For each row, how many events (of the entities at `positions`, at `seconds`) had come by then.

        Events of the entities before it count as well: they cancel out in a difference of two such counts.
        """
        events = np.sort(self._key(self._rank[positions], seconds))
        return events.searchsorted(self._keys[rows], side="right")


def _prefix_sums(values: Ints) -> Ints:
    return np.concatenate(([0], np.cumsum(values, dtype=np.int64)))
