"""Two pictures: what the scores can tell apart, and what thresholds cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from contracts.bundle import Thresholds
from modeling.costs import Costs, cost_of_approving_all, total_cost
from modeling.dataset import Dataset

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
SIZE = (7.0, 4.6)
CURVE_POINTS = 120


def precision_recall_figure(data: Dataset, named_scores: dict[str, Floats]) -> Figure:
    """Precision over recall on the test window, a line for each model."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    figure, axes = _figure("Precision and recall on the test window", "recall", "precision")
    for name, scores in named_scores.items():
        precision, recall, _ = precision_recall_curve(data.frauds, scores)
        area = average_precision_score(data.frauds, scores)
        axes.step(recall, precision, where="post", label=f"{name}, average precision {area:.3f}")
    axes.axhline(data.frauds.mean(), color="0.6", linestyle=":", label=f"by chance, {data.frauds.mean():.3f}")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(loc="lower left")
    return figure


def cost_figure(data: Dataset, scores: Floats, thresholds: Thresholds, costs: Costs) -> Figure:
    """The cost of 1,000 payments over the threshold to review, the one to decline held where it is."""
    figure, axes = _figure(
        "What the threshold to review costs", "threshold to review (score)", "cost of 1,000 payments"
    )
    tried = np.geomspace(1e-4, max(thresholds.decline, 2e-4), CURVE_POINTS)
    thousand = 1_000 / len(scores)
    approving_all = thousand * cost_of_approving_all(data.frauds, data.amounts)
    pairs = [Thresholds(review=review, decline=max(review, thresholds.decline)) for review in tried]
    cost = [thousand * total_cost(scores, data.frauds, data.amounts, pair, costs) for pair in pairs]
    axes.plot(tried, cost)
    axes.axvline(thresholds.review, color="tab:orange", linestyle="--", label=f"review from {thresholds.review:.3f}")
    axes.axvline(thresholds.decline, color="tab:red", linestyle="--", label=f"decline from {thresholds.decline:.3f}")
    axes.axhline(approving_all, color="0.6", linestyle=":", label="approving all")
    axes.set_xscale("log")
    axes.set_ylim(0, 1.6 * approving_all)
    axes.legend(loc="upper center")
    return figure


def _figure(title: str, x: str, y: str) -> tuple[Figure, Any]:
    # The object interface: no global state, no display.
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    return figure, axes
