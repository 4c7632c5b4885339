"""The features: what each is, their names, in order, and the one kernel that computes them.

Spark applies the kernel to whole sorted partitions, the scorer to one customer's and one terminal's recent history, so
both compute identical values. Sums are therefore over exact integers (cents, counts), with floats only in the final
division. The kernel is `contracts/kernel.py`, compiled; search it for a feature's name in capitals. The functions here
check its input and name its output.

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

from contracts.compiled import OUTSIDE, UNSORTED, load
from contracts.fraud_runs import FRAUD_RUN_FEATURES, RUN_WINDOW_DAYS
from contracts.habit import HABIT_DAYS, HABIT_FEATURES
from contracts.histories import Floats, Ints
from contracts.labels import LABEL_DELAY_DAYS
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


def payment_features(occurred: Ints, cents: Ints, zone: Zone = UTC) -> dict[str, Floats]:
    """`PAYMENT_FEATURES`, computed from the payment alone, each of shape (n,).

    `amount` is in currency units; `is_weekend` and `is_night` (until 06:59:59) are 0 or 1, in `zone`.
    """
    found = np.empty((len(PAYMENT_FEATURES), len(occurred)))
    load().payment_into(_ints(occurred), _ints(cents), *zone.table, found)
    return dict(zip(PAYMENT_FEATURES, found, strict=True))


def customer_features(entity: Ints, occurred: Ints, cents: Ints, rows: Ints) -> dict[str, Floats]:
    """`CUSTOMER_FEATURES` of the payments at `rows`, each of shape (len(rows),), over the windows (t - w, t].

    A window's count and mean amount (in currency units) include the payment itself; the habit's features are described
    in `contracts/habit.py`. Raises ValueError if the history is not sorted, or `rows` are not within it.
    """
    history = _checked(entity, occurred, rows, cents)
    windows = np.empty((len(CUSTOMER_WINDOW_FEATURES), len(rows)))
    habit = np.empty((len(HABIT_FEATURES), len(rows)))
    load().customer_into(*history, windows, habit)
    return dict(zip(CUSTOMER_FEATURES, [*windows, *habit], strict=True))


def terminal_features(entity: Ints, occurred: Ints, cents: Ints, reported: Ints, rows: Ints) -> dict[str, Floats]:
    """`TERMINAL_FEATURES` of the payments at `rows`, each of shape (len(rows),), over (t - delay - w, t - delay].

    `reported` is the second of each payment's earliest fraud report, `NEVER` without one. The fraud rate is the share
    of the window's payments that are known at t to be frauds, 0 for an empty window. `contracts/fraud_runs.py`
    describes the features of runs. Raises ValueError if the history is not sorted, or `rows` are not within it.
    """
    history = _checked(entity, occurred, rows, cents, reported)
    windows = np.empty((len(TERMINAL_WINDOW_FEATURES), len(rows)))
    runs = np.empty((len(FRAUD_RUN_FEATURES), len(rows)))
    load().terminal_into(*history, windows, runs)
    return dict(zip(TERMINAL_FEATURES, [*windows, *runs], strict=True))


def _checked(entity: Ints, occurred: Ints, rows: Ints, *values: Ints) -> list[Ints]:
    """Entity, occurred, values and rows, as the kernel takes them: it checks no bounds."""
    history, chosen = [_ints(array) for array in (entity, occurred, *values)], _ints(rows)
    if len({len(array) for array in history}) != 1:
        raise ValueError(f"the arrays of a history have one length, not {[len(array) for array in history]}")
    problem = load().check(history[0], history[1], chosen)
    if problem == UNSORTED:
        raise ValueError("the history must be sorted by entity and time")
    if problem == OUTSIDE:
        raise ValueError(f"the rows must be indices of the history, from 0 to {len(entity) - 1}")
    return [*history, chosen]


def _ints(array: Ints) -> Ints:
    """The array itself, if it is contiguous; TypeError if it has no int64, for a silent cast could change values."""
    if array.dtype != np.int64 or array.ndim != 1:
        raise TypeError(f"the kernel takes arrays of int64 with one dimension, not {array.dtype} with {array.ndim}")
    return np.ascontiguousarray(array)


def feature_matrix(parts: Mapping[str, Floats]) -> Floats:
    """The features as columns in the contract's order, shape (n, len(FEATURES)). Raises KeyError if one is missing."""
    matrix = np.empty((len(parts["amount"]), len(FEATURES)))
    for column, name in enumerate(FEATURES):
        matrix[:, column] = parts[name]
    return matrix
