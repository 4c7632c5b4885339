"""Labels are those known when they are used, and what is missing is said."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from contracts.days import DayRange
from contracts.labels import DAY, LABEL_DELAY
from modeling.dataset import read_reports, read_split, read_window
from modeling.errors import ModelingError
from modeling.split import split_days
from tests.modeling.lakes import DAYS, START, write_lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lake")
    write_lake(folder)
    return folder


def test_a_label_is_seen_from_its_second_on(lake: Path) -> None:
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


def test_what_is_missing_is_said(lake: Path, tmp_path: Path) -> None:
    later = DayRange(DAYS.last + timedelta(days=300), DAYS.last + timedelta(days=301))
    with pytest.raises(ModelingError, match="run build_features"):
        read_window(lake, later, read_reports(lake, DAYS.end_second), 0)
    with pytest.raises(ModelingError, match="run ingest"):
        read_reports(tmp_path, 0)


def test_a_window_without_frauds_is_refused(tmp_path: Path) -> None:
    write_lake(tmp_path, a_day=1)
    with pytest.raises(ModelingError, match=r"known frauds.*more days or more customers"):
        read_split(tmp_path, split_days(DAYS))


def test_reports_that_come_late_are_not_yet_known(lake: Path) -> None:
    before = read_reports(lake, DAYS.start_second + 8 * DAY)
    assert len(before) < len(read_reports(lake, DAYS.end_second))
