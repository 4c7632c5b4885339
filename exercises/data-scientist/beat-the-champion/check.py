"""The learner's model runs through the pipeline: thresholds, MLflow, evaluation, the gate."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from contracts.days import DayRange
from contracts.features import FEATURES
from exercises.earlier_champion import Scene
from exercises.expect import Description, expect
from modeling.data.dataset import SplitData, read_split
from modeling.data.lake import history_of
from modeling.data.split import split_days
from modeling.evaluate import evaluate
from modeling.models.candidate import Candidate
from modeling.models.estimators import fit_baseline, typical_genuine
from modeling.promote import promote
from modeling.settings import Settings
from modeling.tracking.mlflow_client import registry
from modeling.tracking.run_logger import parameters, parameters_fingerprint, track
from modeling.train import fit_decision_policy

MAX_SECONDS = 180
KIND = "HistGradientBoostingClassifier"
CALL = "fit(features, frauds)"


@pytest.fixture(scope="session")
def data(earlier: Scene) -> SplitData:
    """All days, split as the pipeline splits them."""
    return read_split(Settings().lake, split_days(days_of(earlier)))


@pytest.fixture
def scene(earlier: Scene) -> Scene:
    """As it is before the learner begins."""
    earlier.restore()
    return earlier


def days_of(scene: Scene) -> DayRange:
    # The last day was played live, and is not one to train on.
    return DayRange(date.fromisoformat(scene.days[0]), date.fromisoformat(scene.days[-2]))


def check_model(model: Any, seconds: float) -> None:
    expect(
        CALL,
        Description(type(model).__name__),
        Description(KIND),
        f"return a {KIND}: the scorer runs its trees without scikit-learn",
        [(Description("NoneType"), "it returned None: return the model")],
    )
    try:
        check_is_fitted(model)
        fitted = True
    except NotFittedError:
        fitted = False
    expect(f"{CALL}: whether the model is fitted", fitted, True, "the model is not fitted: call fit")
    expect(
        f"{CALL}: the number of features",
        getattr(model, "n_features_in_", None),
        len(FEATURES),
        "the scorer passes all features, in this order: fit the model on all columns, unchanged",
    )
    expect(
        f"{CALL}: seconds",
        Description(f"{seconds:.0f}"),
        Description(f"at most {MAX_SECONDS}"),
        "it is too slow for a daily training",
        same=lambda *_: seconds <= MAX_SECONDS,
    )


def track_as_the_pipeline_does(model: Any, data: SplitData, scene: Scene, settings: Settings) -> str:
    """What `modeling.train` does with a model once it is fitted; the run's id."""
    days, costs, budget = days_of(scene), settings.costs, settings.reviews_per_1000
    found = parameters(costs, budget) | {f"candidate.{name}": value for name, value in model.get_params().items()}
    with registry(settings) as client:
        baseline = fit_baseline(data.training)
        candidate = Candidate(
            first=days.first,
            last=days.last,
            history_from=history_of(settings.lake, days).first,
            reviews_per_1000=budget,
            decider=fit_decision_policy(model, data.validation, costs, budget),
            baseline=fit_decision_policy(baseline, data.validation, costs, budget),
            reference=dict(zip(FEATURES, typical_genuine(data.training).tolist(), strict=True)),
            data_fingerprint=data.fingerprint,
            parameters_fingerprint=parameters_fingerprint({name: str(value) for name, value in found.items()}),
            held_to_amount=False,
        )
        return track(client, candidate, data, model, baseline, {}, {name: str(value) for name, value in found.items()})


def test_the_gate_lets_it_through(scene: Scene, data: SplitData, answer: Any) -> None:
    began = time.monotonic()
    features, frauds = data.training.features.copy(), data.training.frauds.copy()
    model = answer.fit(features, frauds)
    check_model(model, time.monotonic() - began)
    settings = Settings()
    run_id = track_as_the_pipeline_does(model, data, scene, settings)
    evaluate(run_id, settings)
    result = promote(run_id, settings)
    starts: Callable[[str], Callable[[Any], bool]] = lambda words: lambda actual: str(actual).startswith(words)  # noqa: E731
    expect(
        f"the gate, on a model that {CALL} fitted against version {scene.champion}",
        Description(result["reason"]),
        Description("at least as good: ..."),
        "the gate rejected it",
        [
            (
                starts("average precision is worse"),
                "it ranks payments worse than the champion: too few or too deep trees, or too high a learning rate, "
                "fit the noise of a few frauds",
            ),
            (
                starts("cost is higher"),
                "its average precision is good enough, but its decisions cost more: the scores of its riskiest "
                "payments are overconfident or underconfident; a lower learning rate and larger leaves make them more "
                "stable",
            ),
            (
                starts("slightly worse on both metrics"),
                "it is slightly worse on both metrics, and the gate accepts that on one only",
            ),
        ],
        same=lambda actual, _: starts("at least as good")(actual),
    )
