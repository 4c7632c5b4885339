"""Features that compare a payment with its customer's habit: order statistics of earlier payments, in whole cents.

The habit is up to 64 of the customer's payments before this one (the latest), within (t - 30 d, t]. Medians are
used because the large payments of a stolen card are among them and would shift a mean.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from contracts.histories import Floats, History, Ints
from contracts.labels import DAY

HABIT_DAYS: Final = 30
HABIT_PAYMENTS: Final = 64
EXTREME: Final = (5, 2)
"""A payment is extreme above 5/2 of the habit's median, which is beyond most customers' normal variation."""
RECENT_DAYS: Final = (7, 14)
HABIT_FEATURES: Final = (
    "customer_amount_median",
    "customer_amount_deviation",
    "amount_to_median",
    "amount_to_upper_quartile",
    "amount_deviations",
    *(f"customer_{what}_{w}d" for w in RECENT_DAYS for what in ("max_to_median", "extreme_count")),
    "customer_days_since_extreme",
)

_ROWS_AT_ONCE: Final = 16_384
_ABSENT: Final = np.int64(2**60)


def habit_features(history: History, cents: Ints) -> dict[str, Floats]:
    """`HABIT_FEATURES` of the payments at `history.rows`, each of shape (len(rows),); `cents` has the history's length.

    Without earlier payments the amount counts as usual (ratios 1, deviations 0) and nothing as extreme.
    """
    rows = history.rows
    start = np.maximum(history.first_after(HABIT_DAYS * DAY), rows - HABIT_PAYMENTS)
    if len(rows) <= _ROWS_AT_ONCE:
        return _few(history.occurred, cents, rows, start)
    parts = [
        _few(history.occurred, cents, rows[at : at + _ROWS_AT_ONCE], start[at : at + _ROWS_AT_ONCE])
        for at in range(0, len(rows), _ROWS_AT_ONCE)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in HABIT_FEATURES}


def _few(occurred: Ints, cents: Ints, rows: Ints, start: Ints) -> dict[str, Floats]:
    """The features of one chunk of rows, computed in arrays of shape (rows, longest habit)."""
    count, own = rows - start, cents[rows]
    at = rows[:, np.newaxis] - np.arange(count.max(initial=0), 0, -1)
    there = at >= start[:, np.newaxis]
    at = np.maximum(at, 0)
    amounts, ages = cents[at] * there, occurred[rows][:, np.newaxis] - occurred[at]
    ranked = np.sort(np.where(there, amounts, _ABSENT), axis=1)
    # Twice the median and four times the median deviation, because halves would not be integers.
    median2 = _twice_median(ranked, count)
    away = np.where(there, np.abs(2 * amounts - median2[:, np.newaxis]), _ABSENT)
    deviation4 = _twice_median(np.sort(away, axis=1), count)
    quartile = _ranked(ranked, count, (3 * count) // 4)
    known = count > 0
    features = {
        "customer_amount_median": median2 / 200,
        "customer_amount_deviation": deviation4 / 400,
        "amount_to_median": np.where(known, 2 * own / np.maximum(median2, 1), 1.0),
        "amount_to_upper_quartile": np.where(known, own / np.maximum(quartile, 1), 1.0),
        # The deviation of equal amounts is 0, so it is floored at a twentieth of the median.
        "amount_deviations": np.where(
            known, (40 * own - 20 * median2) / np.maximum(np.maximum(10 * deviation4, median2), 10), 0.0
        ),
    }
    extreme = 2 * EXTREME[1] * amounts > EXTREME[0] * median2[:, np.newaxis]
    for days in RECENT_DAYS:
        recent = ages < days * DAY
        most = (amounts * recent).max(axis=1, initial=0)
        features[f"customer_max_to_median_{days}d"] = 2 * most / np.maximum(median2, 1)
        features[f"customer_extreme_count_{days}d"] = (extreme & recent).sum(axis=1).astype(np.float64)
    since = np.where(extreme, ages, HABIT_DAYS * DAY).min(axis=1, initial=HABIT_DAYS * DAY)
    features["customer_days_since_extreme"] = since / DAY
    return features


def _twice_median(ranked: Ints, count: Ints) -> Ints:
    """Twice the median of the first `count` values of each sorted row; 0 where `count` is 0."""
    return _ranked(ranked, count, (count - 1) // 2) + _ranked(ranked, count, count // 2)


def _ranked(ranked: Ints, count: Ints, rank: Ints) -> Ints:
    """The value at index `rank` of each sorted row; 0 where `count` is 0."""
    if ranked.shape[1] == 0:
        return np.zeros(len(ranked), dtype=np.int64)
    # Where `count` is 0, `rank` may be -1 and the value is discarded.
    return np.where(count > 0, ranked[np.arange(len(ranked)), rank], 0)
