"""95% intervals of both models' metrics on a window, from the same resamples of its cards.

Everything that does not depend on the resample is computed once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.bundle import Thresholds
from modeling.data.dataset import Dataset
from modeling.evaluation.costs import Costs, Floats, each_cost
from modeling.evaluation.intervals import RESAMPLES, Interval, Ints, bootstrap, intervals
from modeling.evaluation.metrics import TOP_CARDS, CardDays
from modeling.evaluation.ranking import Ranking

GAIN: Final = "gain_average_precision"
"""The difference of the model's average precision to the baseline's, on the same resamples."""


@dataclass(frozen=True)
class Scored:
    """A model's scores on a window, shape (n,), and its thresholds."""

    scores: Floats
    thresholds: Thresholds


def metric_intervals(
    model: Scored, baseline: Scored, data: Dataset, costs: Costs, resamples: int = RESAMPLES
) -> dict[str, Interval]:
    """Intervals of AUC ROC, average precision, card precision and cost, `test_` and `baseline_`, and of the gain."""
    models = {"test": _ResampledMetrics(model, data, costs), "baseline": _ResampledMetrics(baseline, data, costs)}
    card_of = np.unique(data.customer_id, return_inverse=True)[1]

    def measures(rows: Ints, cards: Ints) -> Mapping[str, float]:
        times = np.bincount(rows, minlength=len(data.frauds))
        drawn = card_of[rows[np.flatnonzero(np.diff(cards, prepend=-1))]]
        found = {f"{name}_{metric}": x for name, one in models.items() for metric, x in one.of(times, drawn).items()}
        return found | {GAIN: found["test_average_precision"] - found["baseline_average_precision"]}

    return intervals(bootstrap(measures, data.customer_id, resamples))


class _ResampledMetrics:
    """One model's metrics on resamples of the payments."""

    def __init__(self, one: Scored, data: Dataset, costs: Costs) -> None:
        self._ranking = Ranking.of(one.scores, data.frauds)
        self._costs = each_cost(one.scores, data.frauds, data.amounts, one.thresholds, costs)
        self._card_days = CardDays.of(one.scores, data)

    def of(self, times: NDArray[np.int64], drawn: Ints) -> dict[str, float]:
        """The metrics if payment i counts `times[i]` times; `drawn` are the indices of the resampled cards."""
        areas = self._ranking.areas(times)
        return {
            "average_precision": areas.average_precision,
            "roc_auc": areas.roc_auc,
            f"card_precision_{TOP_CARDS}": self._card_days.take(drawn).precision(TOP_CARDS),
            "cost_per_1000": 1_000 * float((times * self._costs).sum()) / int(times.sum()),
        }
