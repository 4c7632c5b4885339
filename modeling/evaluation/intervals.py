"""95% intervals. The bootstrap resamples whole cards, because the payments of one card are not independent.

A resample may have no frauds; a metric that is undefined there is NaN and is ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Interval = tuple[float, float]
Measures = Callable[[Ints, Ints], Mapping[str, float]]
"""Computes metrics from positions, shape (m,), and their cards, shape (m,); a card drawn twice counts as two cards."""

RESAMPLES: Final = 200
PERCENTILES: Final = (2.5, 97.5)
MIN_DEFINED: Final = 0.9
"""The share of resamples that must define a metric; over fewer, selection would make the interval too narrow."""


def bootstrap(measures: Measures, cards: Ints, resamples: int = RESAMPLES, seed: int = 0) -> list[Mapping[str, float]]:
    """The metrics of each resample of the payments; `cards`, shape (n,), is the card of each payment."""
    rng = np.random.default_rng(seed)
    order = np.argsort(cards, kind="stable")
    _, start, count = np.unique(cards[order], return_index=True, return_counts=True)
    return [measures(*_draw(order, start, count, rng)) for _ in range(resamples)]


def intervals(resampled: list[Mapping[str, float]]) -> dict[str, Interval]:
    """The percentile interval of each metric over the resamples that define it.

    Metrics defined in less than a share of `MIN_DEFINED` of the resamples are left out.
    """
    found: dict[str, Interval] = {}
    for name in resampled[0] if resampled else ():
        values = np.array([figures[name] for figures in resampled])
        defined = values[~np.isnan(values)]
        if len(defined) >= MIN_DEFINED * len(values):
            low, high = np.percentile(defined, PERCENTILES)
            found[name] = (float(low), float(high))
    return found


def wilson(hits: int, count: int) -> Interval:
    """The 95% Wilson interval of a share; it assumes independence, which the payments of one card do not have."""
    from scipy.stats import binomtest

    interval = binomtest(hits, count).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def _draw(order: Ints, start: Ints, count: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    drawn = rng.integers(0, len(start), len(start))
    length = count[drawn]
    # The positions of the drawn cards' payments, concatenated over the cards.
    within = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    rows = order[np.repeat(start[drawn], length) + within]
    return rows, np.repeat(np.arange(len(drawn)), length)
