"""The figures of resamples equal scikit-learn's, and comparisons are paired."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.handbook.measures import figures, summary
from benchmarks.handbook.resample import judged, resampled_intervals
from modeling.data.dataset import Dataset


def week_of(seed: int, payments: int = 600, cards: int = 50, share: float = 0.2) -> Dataset:
    rng = np.random.default_rng(seed)
    return Dataset(
        features=np.zeros((payments, 2)),
        frauds=rng.random(payments) < share,
        amounts=np.ones(payments),
        transaction_id=np.arange(payments),
        customer_id=rng.integers(0, cards, payments),
        occurred=np.sort(rng.integers(0, 7 * 86_400, payments)),
        patterns=np.zeros(payments, dtype=np.int64),
    )


def test_the_summary_of_weeks_is_their_mean_and_spread() -> None:
    weeks = [{"auc": 0.8, "ap": 0.5, "cp100": 0.1}, {"auc": 0.9, "ap": 0.7, "cp100": 0.1}]
    found = summary(weeks)
    assert (found["ap"], found["ap_std"]) == (pytest.approx(0.6), pytest.approx(0.1))
    assert found["cp100_std"] == 0
    assert "ap_std" not in summary(weeks[:1])


def test_intervals_hold_the_figures_and_differences_are_paired() -> None:
    weeks = [week_of(0), week_of(1)]
    rng = np.random.default_rng(2)
    champion = [week.frauds + rng.normal(0, 0.7, len(week.frauds)) for week in weeks]
    same = [scores * 2 for scores in champion]
    worse = [scores + rng.normal(0, 0.7, len(scores)) for scores in champion]
    scores = {"champion": champion, "same": same, "worse": worse}
    done: list[int] = []
    found = resampled_intervals(judged(weeks, scores), done.append, resamples=80)
    assert found is not None
    assert sum(done) == 80
    for model, some in scores.items():
        means = summary([figures(one, week) for one, week in zip(some, weeks, strict=True)])
        for measure, (low, high) in found.models[model].items():
            assert low < means[measure] < high, (model, measure)
    assert found.champion_less["same"] == (0, 0)
    assert found.champion_less["worse"][0] > 0
    assert "champion" not in found.champion_less


def test_without_frauds_in_the_resamples_there_is_no_interval() -> None:
    week = week_of(0, payments=40, cards=40, share=0)
    week.frauds[0] = True
    scores = np.linspace(0, 1, 40)
    both = judged([week_of(2), week_of(3)], {"champion": [np.zeros(600)] * 2})
    assert set(resampled_intervals(both, lambda _: None, 80).models["champion"]) == {"auc", "ap", "cp100"}
    # One card of 40 has the only fraud of its week: a third of the resamples lack it, and have no average precision.
    one = judged([week, week_of(3)], {"champion": [scores, np.zeros(600)]})
    assert set(resampled_intervals(one, lambda _: None, 80).models["champion"]) == {"cp100"}
