"""All that is found out of a trained model on its test window: what the pictures and the card tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from modeling.data.dataset import Dataset, SplitData
from modeling.evaluation.calibration import Reliability, reliability
from modeling.evaluation.costs import Costs
from modeling.evaluation.importance import Importance, importances
from modeling.evaluation.intervals import Interval
from modeling.evaluation.metrics import measure, weigh
from modeling.evaluation.window_intervals import Scored, figure_intervals
from modeling.models.candidate import Candidate, Decider

CANDIDATE: Final = "gradient boosting"
BASELINE: Final = "logistic regression"
SHARED: Final = {"cost_per_1000_approving_all", "fraud_amount"}
"""What the test window alone decides: said once, and not of the baseline again."""


@dataclass(frozen=True)
class Judgement:
    """The scores of both models and what they come to; metrics are named `test_` and `baseline_`, intervals too."""

    model: Scored
    baseline: Scored
    metrics: dict[str, float]
    intervals: dict[str, Interval]
    validation: dict[str, float]
    """What the model's decisions come to on the window that the thresholds were chosen on."""
    calibration: Reliability
    importances: list[Importance]


def judge_models(candidate: Candidate, model: Any, baseline: Any, data: SplitData, costs: Costs) -> Judgement:
    """Measure two models with a `decision_function` on the test window; seconds, on 60,000 payments."""
    test = data.test
    mine, base = _scored(model, candidate.decider, test), _scored(baseline, candidate.baseline, test)
    chosen = _scored(model, candidate.decider, data.validation)
    return Judgement(
        model=mine,
        baseline=base,
        metrics=_metrics(mine, base, test, costs),
        intervals=figure_intervals(mine, base, test, costs),
        validation=weigh(chosen.scores, data.validation, chosen.thresholds, costs),
        calibration=reliability(mine.scores, test.frauds),
        importances=importances(model, test),
    )


def bounds(found: dict[str, Interval]) -> dict[str, float]:
    """The intervals as metrics of their own: `<name>_low` and `<name>_high`."""
    ends = [
        (name, end, value) for name, pair in found.items() for end, value in zip(("low", "high"), pair, strict=True)
    ]
    return {f"{name}_{end}": value for name, end, value in ends}


def _scored(model: Any, decider: Decider, data: Dataset) -> Scored:
    return Scored(decider.scores(np.asarray(model.decision_function(data.features))), decider.thresholds)


def _metrics(model: Scored, baseline: Scored, test: Dataset, costs: Costs) -> dict[str, float]:
    mine = measure(model.scores, test, model.thresholds, costs)
    base = measure(baseline.scores, test, baseline.thresholds, costs)
    return {f"test_{name}": value for name, value in mine.items()} | {
        f"baseline_{name}": value for name, value in base.items() if name not in SHARED
    }
