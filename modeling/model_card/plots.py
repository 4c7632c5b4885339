"""The model card's plots: precision and recall, calibration, and cost by threshold."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from contracts.bundle import Thresholds
from modeling.data.dataset import Dataset
from modeling.evaluation.calibration import CalibrationBins
from modeling.evaluation.costs import Costs, cost_of_approving_all, total_cost
from modeling.evaluation.result import BASELINE, CANDIDATE, EvaluationResult
from modeling.evaluation.thresholds import allowed_reviews

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
PRECISION_RECALL: Final = "precision_recall.png"
CALIBRATION: Final = "calibration.png"
COST: Final = "cost.png"
SIZE = (7.0, 4.6)
CURVE_POINTS = 120
MIN_SHARE = 1e-5
"""The lower end of the calibration plot's logarithmic axes, which cannot show 0."""


def draw(result: EvaluationResult, test: Dataset, costs: Costs, reviews_per_1000: float) -> dict[str, bytes]:
    """All plots of an evaluation, as PNG by file name."""
    mine = result.model
    scores = {CANDIDATE: mine.scores, BASELINE: result.baseline.scores}
    figures = {
        PRECISION_RECALL: precision_recall_figure(test, scores),
        CALIBRATION: calibration_figure(result.calibration),
        COST: cost_figure(test, mine.scores, mine.thresholds, costs, reviews_per_1000),
    }
    return {name: _png(figure) for name, figure in figures.items()}


def precision_recall_figure(data: Dataset, named_scores: dict[str, Floats]) -> Figure:
    """Precision by recall on the test window, one line for each model."""
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


def calibration_figure(bins: CalibrationBins) -> Figure:
    """The share of frauds by mean score of each bin, with intervals and the numbers of frauds and payments."""
    figure, axes = _figure("Calibration on the test window", "mean score", "share of frauds")
    axes.plot([MIN_SHARE, 1], [MIN_SHARE, 1], color="0.6", linestyle=":", label="perfect calibration")
    lows, highs = bins.confidence_intervals()
    axes.vlines(bins.predicted, np.maximum(lows, MIN_SHARE), highs, color="tab:blue", label="95% interval")
    some = bins.frauds > 0
    axes.plot(bins.predicted[some], bins.observed[some], "o", color="tab:blue", label="bin of payments")
    for x, y, frauds, payments in zip(bins.predicted, highs, bins.frauds, bins.payments, strict=True):
        label = f"{frauds:,} of {payments:,} "
        axes.annotate(label, (x, y), (0, 4), textcoords="offset points", rotation=90, ha="center", fontsize=7)
    lowest = 0.5 * max(MIN_SHARE, min(bins.predicted.min(), bins.observed[some].min(initial=1.0)))
    axes.set(xscale="log", yscale="log", xlim=(lowest, 1.5), ylim=(lowest, 8))
    axes.legend(loc="lower right")
    return figure


def cost_figure(data: Dataset, scores: Floats, thresholds: Thresholds, costs: Costs, reviews_per_1000: float) -> Figure:
    """The cost per 1,000 payments by review threshold, at a fixed decline threshold.

    Thresholds that exceed the budget of `reviews_per_1000` on these payments are shaded.
    """
    figure, axes = _figure("Cost by review threshold", "review threshold (score)", "cost per 1,000 payments")
    tried = np.geomspace(1e-4, max(thresholds.decline, 2e-4), CURVE_POINTS)
    thousand = 1_000 / len(scores)
    approving_all = thousand * cost_of_approving_all(data.frauds, data.amounts)
    pairs = [Thresholds(review=review, decline=max(review, thresholds.decline)) for review in tried]
    cost = [thousand * total_cost(scores, data.frauds, data.amounts, pair, costs) for pair in pairs]
    axes.plot(tried, cost)
    axes.axvline(thresholds.review, color="tab:orange", linestyle="--", label=f"review from {thresholds.review:.3f}")
    axes.axvline(thresholds.decline, color="tab:red", linestyle="--", label=f"decline from {thresholds.decline:.3f}")
    axes.axhline(approving_all, color="0.6", linestyle=":", label="approving all")
    beyond = _beyond_budget(scores, thresholds, reviews_per_1000)
    if beyond > tried[0]:
        axes.axvspan(tried[0], beyond, color="0.85", label=f"more than {reviews_per_1000:g} reviews per 1,000")
    axes.set(xscale="log", xlim=(tried[0], 1.0), ylim=(0, 1.6 * approving_all))
    axes.legend(loc="upper center")
    return figure


def _beyond_budget(scores: Floats, thresholds: Thresholds, reviews_per_1000: float) -> float:
    """The highest review threshold that exceeds the budget; 0 if none does."""
    undeclined = np.sort(scores[scores < thresholds.decline])[::-1]
    allowed = allowed_reviews(len(scores), reviews_per_1000)
    return float(undeclined[allowed]) if allowed < len(undeclined) else 0.0


def _png(figure: Figure) -> bytes:
    content = BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def _figure(title: str, x: str, y: str) -> tuple[Figure, Any]:
    # The object-oriented interface needs no display and has no global state.
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    return figure, axes
