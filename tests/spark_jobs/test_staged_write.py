from __future__ import annotations

import fcntl
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.days import DayRange
from spark_jobs.errors import JobError
from spark_jobs.lake.layout import Lake
from spark_jobs.lake.schemas import TABLES, arrow_schema, with_day
from spark_jobs.lake.staged_write import Staged, split_days, stage_days, staging
from tests.disk import record
from tests.spark_jobs.lakes import FIRST_DAY, RawRow, digests, write_raw

DAYS = [FIRST_DAY + timedelta(days=n) for n in range(4)]
RANGE = DayRange(DAYS[0], DAYS[-1])


def raw_rows(rows: Sequence[tuple[date, RawRow]]) -> pa.Table:
    return pa.Table.from_pylist([{**row.row(), "day": day} for day, row in rows], arrow_schema(with_day(TABLES["raw"])))


def stage(folder: Path, rows: Sequence[tuple[date, RawRow]]) -> list[Staged]:
    batches = list(stage_days(raw_rows(rows), "raw", str(folder)))
    found = [row for batch in batches for row in batch.to_pylist()]
    return [Staged(r["table"], r["day"], r["rows"], Path(r["path"]), dict(r["counts"])) for r in found]


def publish(lake: Lake, rows: Sequence[tuple[date, RawRow]], expected: dict[date, int]) -> None:
    with staging(lake, "job") as own:
        own.publish(stage(own.folder, rows), ["raw"], RANGE, expected)


@given(st.dictionaries(st.dates(date(2024, 1, 1), date(2025, 1, 1)), st.integers(1, 50)), st.integers(1, 60))
def test_groups_hold_every_day_once_in_order_and_few_rows(rows: dict[date, int], per_task: int) -> None:
    groups = split_days(rows, per_task)
    assert [day for group in groups for day in group] == sorted(rows)
    assert all(len(group) == 1 or sum(rows[day] for day in group) <= per_task for group in groups)


def test_the_same_rows_give_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    rows = [(DAYS[n % 3], RawRow(n)) for n in range(100)]
    for name, order in (("one", rows), ("two", rows[::-1])):
        (tmp_path / name / "_staging").mkdir(parents=True)
        publish(Lake(tmp_path / name), order, dict.fromkeys(DAYS[:3], 33) | {DAYS[0]: 34})
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert len(digests(tmp_path / "one")) == 3


def test_a_day_without_rows_loses_its_partition_and_other_days_stay(tmp_path: Path) -> None:
    outside = DAYS[-1] + timedelta(days=1)
    write_raw(tmp_path, [(DAYS[0], RawRow(1)), (DAYS[1], RawRow(2)), (outside, RawRow(3))])
    publish(Lake(tmp_path), [(DAYS[1], RawRow(4)), (DAYS[1], RawRow(5))], {DAYS[1]: 2})
    assert Lake(tmp_path).rows("raw", Lake(tmp_path).days("raw")) == {DAYS[1]: 2, outside: 1}
    assert list((tmp_path / "_staging").iterdir()) == []


@pytest.mark.parametrize("expected", [{DAYS[0]: 2}, {DAYS[0]: 1, DAYS[1]: 1}, {}])
def test_a_wrong_count_publishes_nothing(tmp_path: Path, expected: dict[date, int]) -> None:
    write_raw(tmp_path, [(DAYS[0], RawRow(1)), (DAYS[2], RawRow(2))])
    before = digests(tmp_path)
    with pytest.raises(JobError, match=r"days were staged with a wrong number of rows, first 2024-03-0"):
        publish(Lake(tmp_path), [(DAYS[0], RawRow(9))], expected)
    assert digests(tmp_path) == before


def test_a_truncated_file_publishes_nothing(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    with staging(lake, "job") as own:
        staged = stage(own.folder, [(DAYS[0], RawRow(1)), (DAYS[1], RawRow(2))])
        staged[1].path.write_bytes(staged[1].path.read_bytes()[:-20])
        with pytest.raises(JobError, match=r"cannot be read as Parquet"):
            own.publish(staged, ["raw"], RANGE, {DAYS[0]: 1, DAYS[1]: 1})
    assert digests(tmp_path) == {}


def test_a_file_whose_rows_differ_from_its_task_s_report_publishes_nothing(tmp_path: Path) -> None:
    with staging(Lake(tmp_path), "job") as own:
        staged = stage(own.folder, [(DAYS[0], RawRow(1)), (DAYS[0], RawRow(2))])
        pq.write_table(pq.read_table(staged[0].path).slice(0, 1), staged[0].path)
        with pytest.raises(JobError, match=r"has 1 rows instead of 2"):
            own.publish(staged, ["raw"], RANGE, {DAYS[0]: 2})
    assert digests(tmp_path) == {}


def test_the_same_day_from_two_tasks_publishes_nothing(tmp_path: Path) -> None:
    with staging(Lake(tmp_path), "job") as own:
        staged = stage(own.folder, [(DAYS[0], RawRow(1))]) + stage(own.folder, [(DAYS[0], RawRow(2))])
        with pytest.raises(JobError, match=r"2 tasks staged the day .* of raw: nothing was published, run again"):
            own.publish(staged, ["raw"], RANGE, {DAYS[0]: 2})


def test_only_leftovers_of_the_job_s_dead_runs_are_removed(tmp_path: Path) -> None:
    parent = tmp_path / "_staging"
    for name in ("job-dead", "job-alive", "other-dead"):
        (parent / name).mkdir(parents=True)
        (parent / f"{name}.lock").touch()
    with (parent / "job-alive.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with staging(Lake(tmp_path), "job") as own:
            left = {path.name for path in parent.iterdir() if path.is_dir()}
            assert left == {"job-alive", "other-dead", own.folder.name}
    assert not (parent / "job-dead.lock").exists()


def test_a_damaged_day_is_named_with_what_to_do(tmp_path: Path) -> None:
    write_raw(tmp_path, [(DAYS[0], RawRow(1))])
    Lake(tmp_path).file("raw", DAYS[0]).write_bytes(b"no parquet")
    with pytest.raises(JobError, match=r"raw/day=2024-03-01/part.parquet cannot be read as Parquet .*: remove it"):
        Lake(tmp_path).rows("raw", DAYS[:1])


def test_days_are_on_the_disk_before_their_names_and_names_before_the_job_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power failure, each published day is whole and no removed day is back."""
    write_raw(tmp_path, [(DAYS[2], RawRow(9))])
    disk = record(monkeypatch, tmp_path)
    publish(Lake(tmp_path), [(DAYS[0], RawRow(1)), (DAYS[1], RawRow(2))], {DAYS[0]: 1, DAYS[1]: 1})
    for day in DAYS[:2]:
        renamed = disk.index("rename", f"raw/day={day}/part.parquet")
        (staged,) = [n for n, (_, path) in enumerate(disk.steps) if f"/raw-{day}-" in path]
        assert disk.steps[staged][0] == "flush"
        assert staged < renamed
        # The file's name, the day's and the table's.
        for folder in (f"raw/day={day}", "raw", "."):
            assert disk.index("flush", folder) > renamed
    (retired,) = [n for n, (step, path) in enumerate(disk.steps) if step == "rename" and "/retired-" in path]
    assert disk.index("flush", "raw") > retired
