"""The cost and work of decisions, and the calibration of scores."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from contracts.bundle import Thresholds
from contracts.labels import DAY
from modeling.data.dataset import Dataset
from modeling.evaluation.calibration import CalibrationBins, calibration_bins
from modeling.evaluation.costs import Costs
from modeling.evaluation.metrics import measure_decisions
from tests.modeling.windows import scores_of, window

COSTS = Costs(review=5.0, wrong_decline=25.0)


def five(amounts: list[float]) -> Dataset:
    return Dataset(
        features=np.zeros((5, 1)),
        frauds=np.array([True, False, True, False, True]),
        amounts=np.array(amounts),
        transaction_id=np.arange(5),
        customer_id=np.arange(5),
        occurred=np.array([0, 1, 2, DAY, 3 * DAY]),
        patterns=np.zeros(5, dtype=np.int64),
    )


def test_the_decisions_in_money_and_in_work() -> None:
    # Reviewed, reviewed, approved; reviewed; declined: on three days with payments.
    scores = np.array([0.5, 0.5, 0.1, 0.6, 0.9])
    found = measure_decisions(scores, five([70.0, 10.0, 50.0, 20.0, 80.0]), Thresholds(review=0.4, decline=0.8), COSTS)
    assert found == pytest.approx(
        {
            "cost_per_1000": 200 * 65,
            "cost_per_1000_approving_all": 200 * 200,
            "savings_per_1000": 200 * 135,
            "savings_share": 135 / 200,
            "share_reviewed": 0.6,
            "share_declined": 0.2,
            "reviews_per_day_mean": 1.0,
            "reviews_per_day_max": 2.0,
            "fraud_amount": 200.0,
            "fraud_amount_caught": 150.0,
        }
    )


def test_a_share_of_nothing_is_undefined() -> None:
    found = measure_decisions(np.zeros(5), five([0.0, 10.0, 0.0, 20.0, 0.0]), Thresholds(review=1, decline=1), COSTS)
    assert "savings_share" not in found
    assert found["savings_per_1000"] == 0
    assert np.isfinite(list(found.values())).all()


@pytest.mark.parametrize("decimals", [1, 9])
def test_quantile_bins_equal_scikit_learn_s(decimals: int) -> None:
    data = window()
    scores = scores_of(data, decimals=decimals)
    found = calibration_bins(scores, data.frauds, tuple(np.linspace(0, 1, 11)))
    shares, means = calibration_curve(data.frauds, scores, n_bins=10, strategy="quantile")
    assert found.observed == pytest.approx(shares)
    assert found.predicted == pytest.approx(means)
    assert found.payments.sum() == len(scores)
    assert found.frauds.sum() == data.frauds.sum()


def test_the_expected_error_weighs_each_bin_by_its_payments() -> None:
    bins = CalibrationBins(np.array([90, 10]), np.array([9, 5]), np.array([0.2, 0.9]))
    assert bins.expected_error == pytest.approx(0.9 * 0.1 + 0.1 * 0.4)
    lows, highs = bins.confidence_intervals()
    assert (lows < bins.observed).all()
    assert (bins.observed < highs).all()


def test_the_bins_are_finer_where_the_frauds_are() -> None:
    data = window(payments=20_000)
    bins = calibration_bins(scores_of(data, decimals=9), data.frauds)
    assert bins.payments[0] > 50 * bins.payments[-1]
    assert (np.diff(bins.predicted) > 0).all()
