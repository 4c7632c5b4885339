"""Calibration: how close scores are to the observed share of frauds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modeling.evaluation.costs import Bools, Floats
from modeling.evaluation.intervals import wilson

# Finer towards the top: frauds are rare, so with bins of equal size the last would hold all scores that matter.
QUANTILES: Final = (0.0, 0.5, 0.8, 0.9, 0.95, 0.975, 0.985, 0.99, 0.9925, 0.995, 1.0)


@dataclass(frozen=True)
class CalibrationBins:
    """Payments in bins of increasing score: their number, their frauds and their mean score, all of shape (bins,)."""

    payments: NDArray[np.int64]
    frauds: NDArray[np.int64]
    predicted: Floats

    @property
    def observed(self) -> Floats:
        """The share of frauds in each bin, shape (bins,)."""
        return self.frauds / self.payments

    @property
    def expected_error(self) -> float:
        """The expected calibration error: the mean of |predicted - observed|, weighted by the bins' payments."""
        return float(np.average(np.abs(self.predicted - self.observed), weights=self.payments))

    def confidence_intervals(self) -> tuple[Floats, Floats]:
        """The 95% Wilson interval of each bin's share of frauds: lows and highs, each of shape (bins,)."""
        counts = zip(self.frauds.tolist(), self.payments.tolist(), strict=True)
        lows, highs = zip(*(wilson(frauds, payments) for frauds, payments in counts), strict=True)
        return np.array(lows), np.array(highs)


def calibration_bins(scores: Floats, frauds: Bools, quantiles: tuple[float, ...] = QUANTILES) -> CalibrationBins:
    """Bin payments, arrays of shape (n,), by quantiles of their scores; empty bins are dropped.

    Bins like scikit-learn's `calibration_curve`, which supports only equidistant quantiles and returns no counts.
    """
    edges = np.quantile(scores, quantiles)
    bin_of = np.searchsorted(edges[1:-1], scores)
    payments = np.bincount(bin_of, minlength=len(quantiles) - 1)
    sums = np.bincount(bin_of, weights=scores, minlength=len(payments))
    fraud_counts = np.bincount(bin_of[frauds], minlength=len(payments))
    filled = payments > 0
    return CalibrationBins(payments[filled], fraud_counts[filled], sums[filled] / payments[filled])
