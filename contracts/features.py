"""The features: their names, in order, and the one kernel that computes them.

Spark applies the kernel to whole sorted partitions, the scorer to one customer's and one terminal's recent history, so
both compute identical values. Sums are therefore over exact integers (cents, counts), with floats only in the final
division.

What each feature means: the table in `docs/data-scientist.md`. The customer's habit is in `contracts/habit.py`, a
terminal's fraud runs in `contracts/fraud_runs.py`.

A history is a set of arrays of length n, sorted by (entity, occurred, transaction_id); `rows` are the indices of
the rows whose features to compute. Instants are whole seconds since 1970. A payment's position is (occurred,
transaction_id): its features depend on itself and on the payments of its entity with an earlier position.

A payment whose label is unknown (`contracts/labels.py`) counts as a payment in every feature, and not as a fraud
unless it is reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from contracts.fraud_runs import FRAUD_RUN_FEATURES, RUN_WINDOW_DAYS, fraud_run_features
from contracts.habit import HABIT_DAYS, HABIT_FEATURES, habit_features
from contracts.histories import Floats, History, Ints, prefix_sums
from contracts.labels import DAY, LABEL_DELAY, LABEL_DELAY_DAYS, NEVER, known_from
from contracts.zones import UTC, Zone

WINDOW_DAYS: Final = (1, 7, 30)
PAYMENT_FEATURES: Final = ("amount", "is_weekend", "is_night")
CUSTOMER_WINDOW_FEATURES: Final = tuple(
    name for w in WINDOW_DAYS for name in (f"customer_tx_count_{w}d", f"customer_amount_mean_{w}d")
)
TERMINAL_WINDOW_FEATURES: Final = tuple(
    name for w in WINDOW_DAYS for name in (f"terminal_tx_count_{w}d", f"terminal_fraud_rate_{w}d")
)
BASE_FEATURES: Final = PAYMENT_FEATURES + CUSTOMER_WINDOW_FEATURES + TERMINAL_WINDOW_FEATURES
"""The 15 features of the Fraud Detection Handbook's chapter on feature transformation."""
CUSTOMER_FEATURES: Final = CUSTOMER_WINDOW_FEATURES + HABIT_FEATURES
TERMINAL_FEATURES: Final = TERMINAL_WINDOW_FEATURES + FRAUD_RUN_FEATURES
FEATURES: Final = BASE_FEATURES + HABIT_FEATURES + FRAUD_RUN_FEATURES
FEATURES_VERSION: Final = "3"
"""Increase it when a feature's name, order or meaning changes; the scorer rejects models of another version."""

CUSTOMER_HORIZON_DAYS: Final = LABEL_DELAY_DAYS + max(*WINDOW_DAYS, HABIT_DAYS)
TERMINAL_HORIZON_DAYS: Final = LABEL_DELAY_DAYS + max(*WINDOW_DAYS, RUN_WINDOW_DAYS)
"""Days. No feature of a payment at t depends on payments at or before t - horizon."""

LAST_NIGHT_HOUR: Final = 6
_FIRST_WEEKDAY: Final = 3  # 1970-01-01 was a Thursday
_REACH: Final = max(CUSTOMER_HORIZON_DAYS, TERMINAL_HORIZON_DAYS) * DAY


def payment_features(occurred: Ints, cents: Ints, zone: Zone = UTC) -> dict[str, Floats]:
    """`PAYMENT_FEATURES`, computed from the payment alone, each of shape (n,). Night and weekend are in `zone`."""
    local = zone.local(occurred)
    weekday = (local // DAY + _FIRST_WEEKDAY) % 7
    hour = local % DAY // 3600
    return {
        "amount": cents / 100,
        "is_weekend": (weekday >= 5).astype(np.float64),
        "is_night": (hour <= LAST_NIGHT_HOUR).astype(np.float64),
    }


def customer_features(entity: Ints, occurred: Ints, cents: Ints, rows: Ints) -> dict[str, Floats]:
    """`CUSTOMER_FEATURES` of the payments at `rows`, each of shape (len(rows),), over the windows (t - w, t].

    Raises ValueError if the history is not sorted.
    """
    history = History(entity, occurred, rows, _REACH)
    total, end = prefix_sums(cents), rows + 1
    features: dict[str, Floats] = {}
    for days in WINDOW_DAYS:
        start = history.first_after(days * DAY)
        count = end - start
        features[f"customer_tx_count_{days}d"] = count.astype(np.float64)
        features[f"customer_amount_mean_{days}d"] = (total[end] - total[start]) / (100 * count)
    return features | habit_features(history, cents)


def terminal_features(entity: Ints, occurred: Ints, cents: Ints, reported: Ints, rows: Ints) -> dict[str, Floats]:
    """`TERMINAL_FEATURES` of the payments at `rows`, each of shape (len(rows),), over (t - delay - w, t - delay].

    `reported` is the second of each payment's earliest fraud report, `NEVER` without one. The fraud rate is the share
    of the window's payments that are known at t to be frauds, 0 for an empty window. Raises ValueError if the history
    is not sorted.
    """
    history = History(entity, occurred, rows, _REACH)
    end = history.first_after(LABEL_DELAY)
    frauds = np.flatnonzero(reported != NEVER)
    known_after = known_from(occurred[frauds], reported[frauds]) - occurred[frauds]
    known = history.arrived(frauds, known_after)
    features: dict[str, Floats] = {}
    for days in WINDOW_DAYS:
        leaves_after = LABEL_DELAY + days * DAY
        count = end - history.first_after(leaves_after)
        # A fraud counts from when it becomes known until it leaves the window; if known after that, it never counts.
        left = history.arrived(frauds, np.maximum(known_after, leaves_after))
        features[f"terminal_tx_count_{days}d"] = count.astype(np.float64)
        features[f"terminal_fraud_rate_{days}d"] = (known - left) / np.maximum(count, 1)
    return features | fraud_run_features(history, cents, reported)


def feature_matrix(parts: Mapping[str, Floats]) -> Floats:
    """The features as columns in the contract's order, shape (n, len(FEATURES)). Raises KeyError if one is missing."""
    matrix = np.empty((len(parts["amount"]), len(FEATURES)))
    for column, name in enumerate(FEATURES):
        matrix[:, column] = parts[name]
    return matrix
