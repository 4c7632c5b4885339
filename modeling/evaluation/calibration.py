"""Whether scores are the probabilities that they say they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modeling.evaluation.costs import Bools, Floats
from modeling.evaluation.intervals import wilson

# Frauds are rare: of bins with equal numbers of payments, the last would hold every score that decides anything.
QUANTILES: Final = (0.0, 0.5, 0.8, 0.9, 0.95, 0.975, 0.985, 0.99, 0.9925, 0.995, 1.0)


@dataclass(frozen=True)
class Reliability:
    """Payments in bins of rising score, all of shape (bins,): how many, how many frauds, and the mean score."""

    payments: NDArray[np.int64]
    frauds: NDArray[np.int64]
    predicted: Floats

    @property
    def found(self) -> Floats:
        """The frauds' share of each bin."""
        return self.frauds / self.payments

    @property
    def expected_error(self) -> float:
        """The expected calibration error: the mean of |predicted - found|, each bin by its payments."""
        return float(np.average(np.abs(self.predicted - self.found), weights=self.payments))

    def sure_within(self) -> tuple[Floats, Floats]:
        """Wilson's 95 % interval of each bin's share of frauds: lows and highs, each of shape (bins,)."""
        counts = zip(self.frauds.tolist(), self.payments.tolist(), strict=True)
        lows, highs = zip(*(wilson(frauds, payments) for frauds, payments in counts), strict=True)
        return np.array(lows), np.array(highs)


def reliability(scores: Floats, frauds: Bools, quantiles: tuple[float, ...] = QUANTILES) -> Reliability:
    """Bin payments, arrays of shape (n,), between these quantiles of their scores; a bin without payments is left out.

    Bins as scikit-learn's `calibration_curve` does, which knows only quantiles at equal distances and tells no counts.
    """
    edges = np.quantile(scores, quantiles)
    bin_of = np.searchsorted(edges[1:-1], scores)
    payments = np.bincount(bin_of, minlength=len(quantiles) - 1)
    sums = np.bincount(bin_of, weights=scores, minlength=len(payments))
    bad = np.bincount(bin_of[frauds], minlength=len(payments))
    there = payments > 0
    return Reliability(payments[there], bad[there], sums[there] / payments[there])
