"""The models before training: which inputs they get, and which they must not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from contracts.features import FEATURES
from contracts.transaction import REPORT_FIELDS, TRANSACTION_FIELDS
from modeling.data.dataset import SplitData, read_split
from modeling.data.split import split_days
from modeling.models.estimators import fit_baseline, fit_candidate
from tests.modeling.lakes import DAYS


@pytest.fixture(scope="module")
def data(lake: Path) -> SplitData:
    return read_split(lake, split_days(DAYS))


def test_every_window_has_a_row_for_each_payment_and_a_number_for_each_feature(data: SplitData) -> None:
    for window in data.windows.values():
        payments = len(window.transaction_id)
        assert window.features.shape == (payments, len(FEATURES))
        columns = [column for column in vars(window).values() if isinstance(column, np.ndarray)]
        assert all(len(column) == payments for column in columns)
        assert np.isfinite(window.features).all()
        assert 0 < window.frauds.sum() < payments


def test_no_window_shares_a_payment_with_another(data: SplitData) -> None:
    numbers = np.concatenate([window.transaction_id for window in data.windows.values()])
    assert len(np.unique(numbers)) == len(numbers)


def test_no_id_label_or_pattern_is_among_the_inputs() -> None:
    identities = {field.name for field in TRANSACTION_FIELDS if field.kind != "amount"}
    answers = {field.name for field in REPORT_FIELDS} | {"reported", "pattern", "scenario", "fraud", "label"}
    assert not set(FEATURES) & (identities | answers)
    assert not [name for name in FEATURES if name.endswith("_id") or "pattern" in name]


def test_no_column_of_the_matrix_is_an_id_the_time_the_label_or_the_pattern(data: SplitData) -> None:
    window = data.training
    hidden = {name: np.asarray(column) for name, column in vars(window).items() if name not in ("features", "amounts")}
    assert {"frauds", "transaction_id", "customer_id", "occurred", "patterns"} <= set(hidden)
    for name, column in hidden.items():
        for place, feature in enumerate(FEATURES):
            alike = np.array_equal(window.features[:, place], column.astype(np.float64))
            assert not alike, f"{feature} is {name}"


def test_both_models_get_only_the_features(data: SplitData) -> None:
    for model in (fit_candidate(data.training), fit_baseline(data.training)):
        assert model.n_features_in_ == len(FEATURES)
