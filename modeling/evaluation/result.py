"""The evaluation of a trained model on its test window, for the model card and its plots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from modeling.data.dataset import Dataset, SplitData
from modeling.evaluation.calibration import CalibrationBins, calibration_bins
from modeling.evaluation.costs import Costs
from modeling.evaluation.importance import Importance, importances
from modeling.evaluation.intervals import Interval
from modeling.evaluation.metric_intervals import Scored, metric_intervals
from modeling.evaluation.metrics import measure, measure_decisions
from modeling.models.candidate import Candidate, DecisionPolicy

CANDIDATE: Final = "gradient boosting"
BASELINE: Final = "logistic regression"
SHARED: Final = {"cost_per_1000_approving_all", "fraud_amount"}
"""Metrics that depend only on the test window, so they are not repeated for the baseline."""


@dataclass(frozen=True)
class EvaluationResult:
    """The scores, metrics and intervals of both models; names begin with `test_` (the model) or `baseline_`."""

    model: Scored
    baseline: Scored
    metrics: dict[str, float]
    intervals: dict[str, Interval]
    validation: dict[str, float]
    """The metrics of the model's decisions on the validation window, where the thresholds were chosen."""
    calibration: CalibrationBins
    importances: list[Importance]


def evaluate_models(candidate: Candidate, model: Any, baseline: Any, data: SplitData, costs: Costs) -> EvaluationResult:
    """Evaluate two models with a `decision_function` on the test window; takes seconds for 60,000 payments."""
    test = data.test
    mine, base = _scored(model, candidate.decider, test), _scored(baseline, candidate.baseline, test)
    chosen = _scored(model, candidate.decider, data.validation)
    return EvaluationResult(
        model=mine,
        baseline=base,
        metrics=_metrics(mine, base, test, costs),
        intervals=metric_intervals(mine, base, test, costs),
        validation=measure_decisions(chosen.scores, data.validation, chosen.thresholds, costs),
        calibration=calibration_bins(mine.scores, test.frauds),
        importances=importances(model, test),
    )


def bounds(found: dict[str, Interval]) -> dict[str, float]:
    """The intervals as metrics named `<name>_low` and `<name>_high`."""
    ends = [
        (name, end, value) for name, pair in found.items() for end, value in zip(("low", "high"), pair, strict=True)
    ]
    return {f"{name}_{end}": value for name, end, value in ends}


def _scored(model: Any, decider: DecisionPolicy, data: Dataset) -> Scored:
    return Scored(decider.scores(np.asarray(model.decision_function(data.features))), decider.thresholds)


def _metrics(model: Scored, baseline: Scored, test: Dataset, costs: Costs) -> dict[str, float]:
    mine = measure(model.scores, test, model.thresholds, costs)
    base = measure(baseline.scores, test, baseline.thresholds, costs)
    return {f"test_{name}": value for name, value in mine.items()} | {
        f"baseline_{name}": value for name, value in base.items() if name not in SHARED
    }
