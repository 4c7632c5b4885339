"""A weighted sample of genuine payments stands for all of them."""

from __future__ import annotations

import numpy as np
import pytest

from modeling.data.sampling import sample_genuine

FRAUDS = np.arange(1_000) % 10 == 0


def test_every_fraud_is_kept_and_the_sample_weighs_as_much_as_all() -> None:
    rows, weights = sample_genuine(FRAUDS, 400)
    kept = FRAUDS[rows]
    assert np.array_equal(rows[kept], np.flatnonzero(FRAUDS))
    assert (~kept).sum() == 300
    assert np.all(np.diff(rows) > 0)
    assert np.all(weights[kept] == 1)
    assert weights[~kept].sum() == pytest.approx(900)


def test_few_payments_are_all_kept_unweighted() -> None:
    rows, weights = sample_genuine(FRAUDS, 1_000)
    assert np.array_equal(rows, np.arange(1_000))
    assert np.all(weights == 1)


def test_the_sample_is_reproducible() -> None:
    assert np.array_equal(sample_genuine(FRAUDS, 400)[0], sample_genuine(FRAUDS, 400)[0])


def test_without_genuine_payments_there_are_only_frauds() -> None:
    rows, weights = sample_genuine(np.ones(5, dtype=bool), 300)
    assert np.array_equal(rows, np.arange(5))
    assert np.all(weights == 1)


def test_with_many_frauds_there_are_as_many_genuine_payments() -> None:
    frauds = np.arange(1_000) % 5 < 2
    rows, weights = sample_genuine(frauds, 500)
    assert len(rows) == 800
    assert weights[~frauds[rows]].sum() == pytest.approx(600)
