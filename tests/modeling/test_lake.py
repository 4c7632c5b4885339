"""What the lake lacks is reported, with what to do."""

from __future__ import annotations

import itertools
import shutil
from datetime import date, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from contracts.days import DayRange
from contracts.labels import DAY
from modeling.data.lake import history_of, read_features, read_reports
from modeling.errors import ModelingError
from modeling.settings import Settings
from tests.modeling.lakes import DAYS, START, add_reports, write_lake

FEW = DayRange(START, START + timedelta(days=4))
SECOND = START + timedelta(days=1)


@pytest.fixture
def few(tmp_path: Path) -> Path:
    write_lake(tmp_path, FEW, a_day=20)
    return tmp_path


def part(lake: Path, day: date = SECOND) -> Path:
    return lake / f"features/day={day}/part.parquet"


def test_an_empty_lake(tmp_path: Path) -> None:
    with pytest.raises(ModelingError, match=r"no features in .*features \(LAKE_URI\): run build_features over"):
        history_of(tmp_path, DAYS)
    with pytest.raises(ModelingError, match=r"no fraud reports in .*reports \(LAKE_URI\): run ingest"):
        read_reports(tmp_path, 0)


@pytest.mark.parametrize("wanted", [(-1, 4), (0, 5)])
def test_days_outside_the_lake(few: Path, wanted: tuple[int, int]) -> None:
    first, last = (START + timedelta(days=number) for number in wanted)
    with pytest.raises(ModelingError, match=rf"has features for {FEW}, not for all of {first}..{last}: build"):
        history_of(few, DayRange(first, last))


def test_a_day_without_payments_is_no_gap_and_one_that_was_not_built_is(few: Path) -> None:
    shutil.rmtree(part(few).parent)
    assert history_of(few, FEW) == FEW
    (few / f"clean/day={SECOND}").mkdir(parents=True)
    (few / f"clean/day={SECOND}/part.parquet").touch()
    with pytest.raises(ModelingError, match=rf"1 days .* but no features, the first {SECOND}: run build_features"):
        history_of(few, FEW)
    with pytest.raises(ModelingError, match=rf"no features for {SECOND}..{SECOND}"):
        read_features(few, DayRange(SECOND, SECOND))


def test_a_damaged_file(few: Path) -> None:
    part(few).write_bytes(part(few).read_bytes()[:-9])
    with pytest.raises(ModelingError, match=rf"day={SECOND}/part.parquet cannot be read \(.*\): run build_features"):
        read_features(few, FEW)


def test_a_file_of_other_features(few: Path) -> None:
    pq.write_table(pq.read_table(part(few), partitioning=None).drop_columns(["is_night"]), part(few))
    with pytest.raises(ModelingError, match=r"part.parquet lacks is_night: .* run build_features again"):
        read_features(few, FEW)


def test_the_earliest_report_gives_the_pattern_and_days_without_the_column_none(few: Path) -> None:
    plain = read_reports(few, 10**10)
    assert plain.column_names == ["transaction_id", "reported", "pattern"]
    assert set(plain["pattern"].to_pylist()) == {0}
    add_reports(few, {900: 2_000, 901: 2_000, 902: 2_000, 903: 2_000}, [1, 2, None, None], date(2030, 1, 1))
    add_reports(few, {900: 1_000, 901: 3_000, 902: 1_000, 903: 2_000}, [3, 3, None, 2], date(2030, 1, 2))
    # The later reports of 902 are not in the lake yet.
    table = read_reports(few, 2_500)
    assert dict(zip(table["transaction_id"].to_pylist(), table["pattern"].to_pylist(), strict=True)) == {
        900: 3,
        901: 2,
        902: 0,
        903: 2,
    }
    assert len(read_reports(few, 10**10)) == len(plain) + 4


def test_reports_come_in_the_order_of_their_payments_once_each(tmp_path: Path) -> None:
    write_lake(tmp_path)
    numbers = read_reports(tmp_path, DAYS.end_second + 30 * DAY)["transaction_id"].to_pylist()
    assert len(numbers) > 1_000
    assert all(one < other for one, other in itertools.pairwise(numbers))


def test_days_come_in_order(few: Path) -> None:
    numbers = read_features(few, FEW)["transaction_id"].to_pylist()
    assert numbers == sorted(numbers)
    assert len(numbers) == 100


def test_the_lake_must_be_a_local_folder(tmp_path: Path) -> None:
    assert Settings(lake_uri=tmp_path.as_uri()).lake == Settings(lake_uri=str(tmp_path)).lake == tmp_path
    with pytest.raises(
        ModelingError, match="LAKE_URI cannot be used: 's3://bucket/lake' is not a local folder: write a path"
    ):
        _ = Settings(lake_uri="s3://bucket/lake").lake
