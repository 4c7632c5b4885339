"""The bootstrap draws whole cards, and its intervals have the right width."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from contracts.bundle import Thresholds
from modeling.data.dataset import rows_of
from modeling.evaluation.costs import Costs, total_cost
from modeling.evaluation.intervals import MIN_DEFINED, bootstrap, intervals
from modeling.evaluation.metric_intervals import GAIN, Scored, metric_intervals
from modeling.evaluation.metrics import TOP_CARDS, card_precision
from tests.modeling.windows import scores_of, window

CARDS = np.array([7, 3, 7, 7, 9, 3])
COSTS = Costs(review=5.0, wrong_decline=25.0)


def test_a_draw_has_whole_cards_and_counts_a_card_drawn_twice_as_two() -> None:
    sizes = {3: 2, 7: 3, 9: 1}
    seen = set()

    def look(rows: np.ndarray, cards: np.ndarray) -> dict[str, float]:
        assert len(rows) == len(cards)
        assert np.unique(cards).tolist() == [0, 1, 2]
        for card in range(3):
            mine = rows[cards == card]
            (original,) = set(CARDS[mine].tolist())
            assert len(set(mine.tolist())) == len(mine) == sizes[original]
            seen.add(original)
        return {"payments": float(len(rows))}

    drawn = [figures["payments"] for figures in bootstrap(look, CARDS, resamples=60)]
    assert seen == {3, 7, 9}
    assert {3.0, 6.0, 9.0} <= set(drawn)


def test_the_same_seed_draws_the_same() -> None:
    def first(rows: np.ndarray, cards: np.ndarray) -> dict[str, float]:
        return {"first": float(rows[0])}

    assert bootstrap(first, CARDS, 20, seed=1) == bootstrap(first, CARDS, 20, seed=1)
    assert bootstrap(first, CARDS, 20, seed=1) != bootstrap(first, CARDS, 20, seed=2)


def test_intervals_are_wide_if_a_card_s_payments_are_alike() -> None:
    """A mean over 50 cards with 40 equal payments each is as uncertain as one over 50 payments."""
    rng = np.random.default_rng(0)
    values = np.repeat(rng.normal(size=50), 40)

    def mean(rows: np.ndarray, cards: np.ndarray) -> dict[str, float]:
        return {"mean": float(values[rows].mean())}

    low, high = intervals(bootstrap(mean, np.repeat(np.arange(50), 40)))["mean"]
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(50), rel=0.2)


def test_undefined_draws_are_dropped_and_too_many_leave_no_interval() -> None:
    few, many = round(100 * (1 - MIN_DEFINED)), round(100 * (1 - MIN_DEFINED)) + 1
    drawn = [
        {"some": np.nan if number < few else 1.0, "most": np.nan if number < many else 1.0, "all": float(number)}
        for number in range(100)
    ]
    found = intervals(drawn)
    assert set(found) == {"some", "all"}
    assert found["some"] == (1.0, 1.0)
    assert found["all"] == pytest.approx((2.475, 96.525))
    assert intervals([]) == {}


def test_the_figures_of_a_draw_are_those_of_the_drawn_payments() -> None:
    """As scikit-learn and the metrics compute them, one draw after another."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    data = window(payments=600, cards=40)
    model = Scored(scores_of(data), Thresholds(review=0.2, decline=0.6))
    worse = Scored(scores_of(data, seed=1, decimals=1), Thresholds(review=0.4, decline=0.4))

    def slowly(rows: np.ndarray, cards: np.ndarray) -> dict[str, float]:
        drawn = replace(rows_of(data, rows), customer_id=cards)
        found = {}
        for name, one in (("test", model), ("baseline", worse)):
            scores = one.scores[rows]
            cost = total_cost(scores, drawn.frauds, drawn.amounts, one.thresholds, COSTS)
            found |= {
                f"{name}_average_precision": average_precision_score(drawn.frauds, scores),
                f"{name}_roc_auc": roc_auc_score(drawn.frauds, scores),
                f"{name}_card_precision_{TOP_CARDS}": card_precision(scores, drawn, TOP_CARDS),
                f"{name}_cost_per_1000": 1_000 * cost / len(rows),
            }
        return found | {GAIN: found["test_average_precision"] - found["baseline_average_precision"]}

    expected = intervals(bootstrap(slowly, data.customer_id, 25))
    found = metric_intervals(model, worse, data, COSTS, 25)
    assert set(found) == set(expected)
    for name, pair in expected.items():
        assert found[name] == pytest.approx(pair, rel=1e-9), name


def test_a_window_with_one_fraud_has_no_interval_of_precision() -> None:
    data = window(payments=300, cards=30)
    alone = type(data)(**vars(data) | {"frauds": np.arange(300) == 5})
    one = Scored(scores_of(alone), Thresholds(review=0.2, decline=0.6))
    found = metric_intervals(one, one, alone, COSTS)
    assert "test_average_precision" not in found
    assert "test_roc_auc" not in found
    assert found["test_cost_per_1000"][0] < found["test_cost_per_1000"][1]
