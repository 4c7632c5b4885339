"""95 % intervals. Bootstrapped ones draw whole cards, for the payments of one card are not independent.

A draw may hold no fraud at all, and a figure that is not defined there is NaN: it says nothing of that figure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Interval = tuple[float, float]
Measures = Callable[[Ints, Ints], Mapping[str, float]]
"""From positions, shape (m,), and the card of each, shape (m,), to figures; a card drawn twice is two cards."""

RESAMPLES: Final = 200
PERCENTILES: Final = (2.5, 97.5)
LEAST_DEFINED: Final = 0.9
"""The share of resamples that must define a figure: an interval over a chosen few of them would be too narrow."""


def bootstrap(measures: Measures, cards: Ints, resamples: int = RESAMPLES, seed: int = 0) -> list[Mapping[str, float]]:
    """The figures of each resample of the payments whose cards are `cards`, shape (n,)."""
    rng = np.random.default_rng(seed)
    order = np.argsort(cards, kind="stable")
    _, start, count = np.unique(cards[order], return_index=True, return_counts=True)
    return [measures(*_draw(order, start, count, rng)) for _ in range(resamples)]


def intervals(resampled: list[Mapping[str, float]]) -> dict[str, Interval]:
    """The percentile interval of each figure over the resamples that define it.

    A figure that fewer than `LEAST_DEFINED` of them define has no interval.
    """
    found: dict[str, Interval] = {}
    for name in resampled[0] if resampled else ():
        values = np.array([figures[name] for figures in resampled])
        defined = values[~np.isnan(values)]
        if len(defined) >= LEAST_DEFINED * len(values):
            low, high = np.percentile(defined, PERCENTILES)
            found[name] = (float(low), float(high))
    return found


def wilson(hits: int, count: int) -> Interval:
    """The 95 % interval of a share, after Wilson: of things that are independent, unlike the payments of a card."""
    from scipy.stats import binomtest

    interval = binomtest(hits, count).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def _draw(order: Ints, start: Ints, count: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    drawn = rng.integers(0, len(start), len(start))
    length = count[drawn]
    # Positions of each drawn card's payments, one card's after another's.
    within = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    rows = order[np.repeat(start[drawn], length) + within]
    return rows, np.repeat(np.arange(len(drawn)), length)
