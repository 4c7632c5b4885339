"""Only labels known at the time of use are visible."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from contracts.days import DayRange
from contracts.features import FEATURES
from contracts.labels import DAY, LABEL_DELAY
from modeling.data.dataset import read_split, read_test, read_window
from modeling.data.lake import COLUMNS, read_reports
from modeling.data.split import split_days
from modeling.errors import ModelingError
from tests.modeling.lakes import DAYS, START, add_reports, write_lake


def test_a_label_is_visible_from_its_second_on(lake: Path) -> None:
    day = DayRange(START, START)
    reports = read_reports(lake, DAYS.end_second)
    at = [day.start_second + LABEL_DELAY + hours * 3_600 for hours in (0, 12, 24)]
    frauds = [int(read_window(lake, day, reports, second).frauds.sum()) for second in at]
    assert 0 == frauds[0] < frauds[1] < frauds[2]


def test_the_fingerprint_follows_the_data(lake: Path, tmp_path: Path) -> None:
    split = split_days(DAYS)
    write_lake(tmp_path, seed=1)
    one, again, other = (read_split(folder, split).fingerprint for folder in (lake, lake, tmp_path))
    assert one == again != other


def test_a_window_without_frauds_is_rejected(tmp_path: Path) -> None:
    write_lake(tmp_path, a_day=1, genuine=True)
    with pytest.raises(ModelingError, match=r"known frauds.*more days or more customers"):
        read_split(tmp_path, split_days(DAYS))


def test_each_window_sees_only_the_reports_known_at_its_time(tmp_path: Path) -> None:
    """A report a second too late is not visible to training; a payment's second report changes nothing."""
    write_lake(tmp_path)
    split = split_days(DAYS)
    before = read_split(tmp_path, split)
    genuine = int(before.training.transaction_id[~before.training.frauds][0])
    another = int(before.training.transaction_id[~before.training.frauds][1])
    caught = int(before.training.transaction_id[before.training.frauds][0])
    tested = int(before.test.transaction_id[~before.test.frauds][0])
    add_reports(
        tmp_path,
        {
            genuine: split.trained_at + 1,
            another: split.trained_at,
            caught: split.evaluated_at,
            tested: split.evaluated_at,
            tested + 1: split.evaluated_at + 1,
        },
    )
    after = read_split(tmp_path, split)
    assert after.test.transaction_id[after.test.frauds != before.test.frauds].tolist() == [tested]
    changed = after.training.transaction_id[after.training.frauds != before.training.frauds]
    assert changed.tolist() == [another]


def test_patterns_are_for_analysis_and_no_model_sees_them(tmp_path: Path) -> None:
    write_lake(tmp_path)
    split = split_days(DAYS)
    before = read_split(tmp_path, split)
    caught = before.test.transaction_id[before.test.frauds]
    late = int(before.test.transaction_id[~before.test.frauds][0])
    named = {int(caught[0]): split.test.start_second, int(caught[1]): split.evaluated_at, late: split.evaluated_at + 1}
    add_reports(tmp_path, named, [3, 2, 1])
    after = read_split(tmp_path, split)
    named_there = after.test.patterns > 0
    # The second was reported before, without a pattern; the third is not reported yet.
    assert after.test.transaction_id[named_there].tolist() == [caught[0]]
    assert after.test.patterns[named_there].tolist() == [3]
    assert not before.test.patterns.any()
    assert after.fingerprint == before.fingerprint
    assert np.array_equal(after.test.features, before.test.features)
    assert not {"pattern", "reported"} & {*FEATURES, *COLUMNS}


def test_the_arrays_are_in_the_contract_s_order(lake: Path) -> None:
    data = read_test(lake, split_days(DAYS))
    assert data.features.shape == (len(data.frauds), len(FEATURES))
    assert data.features.dtype == np.float64
    table = pq.read_table(lake / f"features/day={split_days(DAYS).test.first}/part.parquet", partitioning=None)
    first = [table[name][0].as_py() for name in FEATURES]
    assert data.features[0].tolist() == first
    assert data.amounts[0] == table["amount"][0].as_py()
    assert data.occurred[0] == table["occurred_at"][0].as_py().timestamp()
    assert data.customer_id[0] == table["customer_id"][0].as_py()


def test_reports_that_come_late_are_not_yet_known(lake: Path) -> None:
    before = read_reports(lake, DAYS.start_second + 8 * DAY)
    assert len(before) < len(read_reports(lake, DAYS.end_second))
