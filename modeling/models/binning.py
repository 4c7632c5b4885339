"""Bins where frauds are: values snapped to at most 255 for each feature, as many as scikit-learn's trees tell apart.

Boosted trees split between bins, and scikit-learn makes them so that each holds as many payments. Nearly all payments
are genuine and alike, so nearly all bins go to what is plain, and the few large amounts and old runs in which frauds
differ share the rest. Here both kinds have half of the bins each.

Snapped values go to the nearest that is kept, and a tree that learned from them splits midway between two: so it
answers raw values exactly as snapped ones, and nobody but the training ever snaps.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from modeling.errors import ModelingError

MOST_VALUES: Final = 255

Floats = NDArray[np.float64]


def snap(features: Floats, frauds: NDArray[np.bool_], most: int = MOST_VALUES) -> Floats:
    """The features, shape (n, features), with at most so many values in each column.

    Raises `ModelingError` where a kind of payment is missing.
    """
    count = int(frauds.sum())
    if not 0 < count < len(frauds):
        raise ModelingError(f"{count} frauds among {len(frauds)} payments, and both kinds are needed")
    weights = np.where(frauds, 0.5 / count, 0.5 / (len(frauds) - count))
    columns = [_snapped(column, weights, most) for column in features.T]
    return np.column_stack(columns)


def _snapped(column: Floats, weights: Floats, most: int) -> Floats:
    kept = kept_values(column, weights, most)
    # As scikit-learn's bins do: what lies midway belongs to the lower.
    nearest: Floats = kept[np.searchsorted((kept[1:] + kept[:-1]) / 2, column, side="left")]
    return nearest


def kept_values(column: Floats, weights: Floats, most: int) -> Floats:
    """At most so many of a column's values, rising: those heavier than a bin, and quantiles of the others by weight."""
    values, place = np.unique(column, return_inverse=True)
    if len(values) <= most:
        return values
    share = np.bincount(place, weights)
    heavy = share > share.sum() / most
    light, up_to = values[~heavy], np.cumsum(share[~heavy])
    room = most - int(heavy.sum())
    middles = (np.arange(room) + 0.5) / room * up_to[-1]
    return np.union1d(values[heavy], light[np.searchsorted(up_to, middles)])
