"""Bin features so that frauds get half of the bins; each feature has at most 255 distinct values afterwards.

Boosted trees split between bins, at most 255 in scikit-learn, which gives all bins equally many payments. As nearly all
payments are genuine and similar, few bins would be left for the values that frauds have. Here frauds and genuine
payments weigh the same.

Values are snapped to the nearest kept value, and trees split midway between two kept values. They therefore predict
the same for raw values as for snapped ones, so only training needs to snap.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from modeling.errors import ModelingError

MAX_VALUES: Final = 255

Floats = NDArray[np.float64]


def snap(features: Floats, frauds: NDArray[np.bool_], most: int = MAX_VALUES) -> Floats:
    """Snap features, shape (n, features), to at most `most` distinct values in each column.

    Raises `ModelingError` without frauds or without genuine payments.
    """
    count = int(frauds.sum())
    if not 0 < count < len(frauds):
        raise ModelingError(
            f"the payments to train on have {count:,} frauds among {len(frauds):,} payments, but both frauds and "
            "genuine payments are needed: use more days or more customers"
        )
    weights = np.where(frauds, 0.5 / count, 0.5 / (len(frauds) - count))
    columns = [_snapped(column, weights, most) for column in features.T]
    return np.column_stack(columns)


def _snapped(column: Floats, weights: Floats, most: int) -> Floats:
    kept = kept_values(column, weights, most)
    # Like scikit-learn's bins: a value midway between two belongs to the lower.
    nearest: Floats = kept[np.searchsorted((kept[1:] + kept[:-1]) / 2, column, side="left")]
    return nearest


def kept_values(column: Floats, weights: Floats, most: int) -> Floats:
    """At most `most` of a column's values, sorted: those heavier than a bin, and weighted quantiles of the others."""
    values, index = np.unique(column, return_inverse=True)
    if len(values) <= most:
        return values
    share = np.bincount(index, weights)
    heavy = share > share.sum() / most
    light, up_to = values[~heavy], np.cumsum(share[~heavy])
    room = most - int(heavy.sum())
    middles = (np.arange(room) + 0.5) / room * up_to[-1]
    return np.union1d(values[heavy], light[np.searchsorted(up_to, middles)])
