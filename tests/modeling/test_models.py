"""The models: before training, after training, and as exported for the scorer."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss

from contracts.bundle import probability
from contracts.features import FEATURES
from modeling.data.dataset import Dataset, SplitData, read_split
from modeling.data.split import split_days
from modeling.errors import ModelingError
from modeling.evaluation.metrics import card_precision
from modeling.models.estimators import (
    CANDIDATE,
    MIN_SLOPE,
    fit_baseline,
    fit_calibration,
    fit_candidate,
    typical_genuine,
)
from modeling.models.treelite_export import margins, read_trees, write_trees
from tests.modeling.lakes import DAYS


@pytest.fixture(scope="module")
def data(lake: Path) -> SplitData:
    return read_split(lake, split_days(DAYS))


@pytest.fixture(scope="module")
def model(data: SplitData) -> HistGradientBoostingClassifier:
    return fit_candidate(data.training)


def test_before_training_the_parameters_are_the_intended_ones(data: SplitData) -> None:
    few = fit_candidate(data.training)
    assert few.n_iter_ == CANDIDATE["max_iter"]
    assert few.n_features_in_ == len(FEATURES)
    assert few.validation_score_.size == 0


def test_loss_falls_while_it_trains(data: SplitData, model: HistGradientBoostingClassifier) -> None:
    losses = [log_loss(data.training.frauds, found) for found in model.staged_predict_proba(data.training.features)]
    assert all(later < earlier for earlier, later in itertools.pairwise(losses))


def test_training_again_gives_the_same_model(data: SplitData, model: HistGradientBoostingClassifier) -> None:
    again = fit_candidate(data.training).decision_function(data.test.features)
    assert again.tolist() == model.decision_function(data.test.features).tolist()


def test_both_models_learn(data: SplitData, model: HistGradientBoostingClassifier) -> None:
    share = data.test.frauds.mean()
    for scores in (
        model.decision_function(data.test.features),
        fit_baseline(data.training).predict_proba(data.test.features)[:, 1],
    ):
        ranked = data.test.frauds[np.argsort(-scores)][: int(data.test.frauds.sum())]
        assert ranked.mean() > 2 * share


@pytest.mark.parametrize("feature", ["amount", "terminal_fraud_rate_7d"])
def test_more_of_a_fraud_signal_raises_the_score(
    data: SplitData, model: HistGradientBoostingClassifier, feature: str
) -> None:
    typical = np.tile(typical_genuine(data.training), (2, 1))
    typical[1, FEATURES.index(feature)] = {"amount": 400.0, "terminal_fraud_rate_7d": 0.6}[feature]
    usual, unusual = model.decision_function(typical)
    assert unusual > usual + 1


def test_an_unrelated_feature_hardly_matters(data: SplitData, model: HistGradientBoostingClassifier) -> None:
    typical = np.tile(typical_genuine(data.training), (2, 1))
    typical[1, FEATURES.index("is_weekend")] += 1
    usual, unusual = model.predict_proba(typical)[:, 1]
    assert abs(unusual - usual) < 0.1


def test_ten_times_the_amount_raises_the_score(data: SplitData, model: HistGradientBoostingClassifier) -> None:
    genuine = data.test.features[~data.test.frauds & (data.test.amounts > 40)]
    dearer = genuine.copy()
    dearer[:, FEATURES.index("amount")] *= 10
    gained = model.decision_function(dearer) - model.decision_function(genuine)
    assert np.mean(gained > 0) > 0.95


def test_the_order_of_the_payments_does_not_matter(data: SplitData, model: HistGradientBoostingClassifier) -> None:
    backwards = model.decision_function(data.test.features[::-1])[::-1]
    assert backwards.tolist() == model.decision_function(data.test.features).tolist()


def test_calibrated_scores_are_probabilities(data: SplitData, model: HistGradientBoostingClassifier) -> None:
    calibration = fit_calibration(model.decision_function(data.validation.features), data.validation.frauds)
    scores = probability(model.decision_function(data.validation.features), calibration)
    assert scores.mean() == pytest.approx(data.validation.frauds.mean(), rel=0.02)


def test_a_model_that_ranks_backwards_is_calibrated_to_nearly_nothing(
    data: SplitData, model: HistGradientBoostingClassifier
) -> None:
    backwards = -model.decision_function(data.validation.features)
    calibration = fit_calibration(backwards, data.validation.frauds)
    assert calibration.slope == MIN_SLOPE
    share = data.validation.frauds.mean()
    assert np.abs(probability(backwards, calibration) - share).max() < share


def test_the_exported_trees_score_like_scikit_learn(
    data: SplitData, model: HistGradientBoostingClassifier, tmp_path: Path
) -> None:
    write_trees(model, tmp_path, data.test.features)
    found = margins(read_trees(tmp_path), data.test.features)
    assert np.abs(found - model.decision_function(data.test.features)).max() < 1e-9


class Otherwise(HistGradientBoostingClassifier):
    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        return super().predict_proba(X) * (1 - 1e-6)


def test_exported_trees_that_score_differently_are_rejected(data: SplitData, tmp_path: Path) -> None:
    model = fit_candidate(data.training)
    model.__class__ = Otherwise
    with pytest.raises(ModelingError, match=r"differ from scikit-learn.*: use the locked versions"):
        write_trees(model, tmp_path, data.test.features)


def test_card_precision_counts_each_card_once() -> None:
    day = 86_400
    data = Dataset(
        features=np.zeros((5, 1)),
        frauds=np.array([True, False, True, True, False]),
        amounts=np.ones(5),
        transaction_id=np.arange(5),
        customer_id=np.array([1, 2, 1, 3, 2]),
        occurred=np.array([0, 1, day, day + 1, day + 2]),
        patterns=np.zeros(5, dtype=np.int64),
    )
    scores = np.array([0.9, 0.1, 0.9, 0.2, 0.8])
    # Day one: cards 1, 2 -> 1 of 2. Day two, without card 1: cards 2, 3 -> 1 of 2.
    assert card_precision(scores, data, top=2) == pytest.approx(0.5)
    # Only the first: day one card 1; day two card 2, which had no fraud.
    assert card_precision(scores, data, top=1) == pytest.approx(0.5)
