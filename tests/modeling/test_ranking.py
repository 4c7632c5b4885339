"""Areas under curves, with payments weighted by how often they were drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from modeling.evaluation.ranking import Ranking


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 3)), min_size=1, max_size=60))
def test_areas_equal_scikit_learn_s(payments: list[tuple[int, bool, int]]) -> None:
    scores, frauds, times = (np.array([one[place] for one in payments]) for place in range(3))
    frauds = frauds.astype(bool)
    found = Ranking.of(scores / 5, frauds).areas(times)
    if times[frauds].sum() == 0 or times[~frauds].sum() == 0:
        assert np.isnan([found.average_precision, found.roc_auc]).all()
        return
    expected = average_precision_score(frauds, scores / 5, sample_weight=times)
    assert found.average_precision == pytest.approx(expected)
    assert found.roc_auc == pytest.approx(roc_auc_score(frauds, scores / 5, sample_weight=times))
