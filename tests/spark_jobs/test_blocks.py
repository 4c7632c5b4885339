"""Blocks: what is written in parts and groups is read back whole and in order, a bounded number of rows at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.labels import DAY, NEVER
from contracts.zones import UTC
from spark_jobs.build_features import Blocks, whole_rows
from spark_jobs.lake.blocks import BlockFile, DayGroups, read_group, write_blocks
from spark_jobs.lake.histories import slices
from spark_jobs.lake.layout import Lake
from spark_jobs.lake.reports import with_reported, write_earliest_reports
from spark_jobs.lake.staged_write import ROW_GROUP
from tests.spark_jobs.lakes import FIRST_DAY, FIRST_SECOND, Payment, write_clean

ROOT = Path(__file__).resolve().parents[2]
GROUPS = DayGroups(tuple(FIRST_SECOND + n * DAY for n in (0, 1, 3, 9)))
ROWS = st.lists(st.integers(0, 12 * DAY - 1).map(lambda after: FIRST_SECOND + after), min_size=1, max_size=60)


def batch_of(occurred: list[int], first_id: int) -> pa.RecordBatch:
    """Payments with decreasing ids; `twice` depends on both keys."""
    ids = np.arange(first_id + len(occurred), first_id, -1)
    at = np.array(occurred)
    return pa.RecordBatch.from_pydict({"transaction_id": ids, "occurred": at, "twice": 2.0 * ids + at})


@given(ROWS, ROWS, st.integers(1, 25), st.integers(1, 70))
def test_groups_have_the_rows_of_all_files_in_order(
    first: list[int], second: list[int], part: int, at_once: int
) -> None:
    batches = [batch_of(first, 0), batch_of(second, 1_000)]
    with TemporaryDirectory() as folder:
        files = [file for batch in batches for file in written(batch, folder, part)]
        groups = [list(read_group(files, group, at_once)) for group in range(len(GROUPS.starts))]
    expected = sorted(
        (row["occurred"], row["transaction_id"], row["twice"]) for batch in batches for row in batch.to_pylist()
    )
    sizes = [len(one["occurred"]) for parts in groups for one in parts]
    assert max(sizes) <= at_once
    found = [
        [tuple(row) for one in parts for row in zip(one["occurred"], one["transaction_id"], one["twice"], strict=True)]
        for parts in groups
    ]
    assert [row for rows in found for row in rows] == expected
    for group, rows in enumerate(found):
        assert all(GROUPS.of_seconds(np.array([second]))[0] == group for second, *_ in rows)


def written(batch: pa.RecordBatch, folder: str, part: int) -> list[BlockFile]:
    """The files of one task that writes a batch in parts."""
    parts = (batch.slice(at, part) for at in range(0, batch.num_rows, part))
    records = [row for one in write_blocks(parts, folder, "customer_id", GROUPS) for row in one.to_pylist()]
    return [BlockFile(row["path"], row["groups"]) for row in records]


def test_blocks_that_lack_a_payment_are_an_error(tmp_path: Path) -> None:
    whole, short = (batch_of([FIRST_SECOND] * count, 0) for count in (3, 2))
    blocks = Blocks(written(whole, str(tmp_path), 9), written(short, str(tmp_path), 9))
    with pytest.raises(ValueError, match="the blocks of customers and of terminals have other payments in group 0"):
        list(whole_rows(blocks, 0, UTC))


@pytest.mark.parametrize("at_once", [1, 3, 1_000])
def test_slices_reach_back_as_far_as_features_do(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spark_jobs.lake.histories.ROWS_PER_TASK", at_once)
    occurred = np.array([0, 10, 20, 30, 5, 14, 15, 29]) * DAY
    history = {"customer_id": np.array([1, 1, 1, 1, 2, 2, 2, 2]), "occurred": occurred}
    found = []
    for part, rows in slices(history, "customer_id", 15 * DAY, 15):
        assert len(rows) <= at_once
        for row in rows:
            mine = part["customer_id"] == part["customer_id"][row]
            within = (part["occurred"] > part["occurred"][row] - 15 * DAY) & mine & (np.arange(len(mine)) <= row)
            found.append((part["customer_id"][row], (part["occurred"][within] // DAY).tolist()))
    assert found == [(1, [10, 20]), (1, [20, 30]), (2, [5, 14, 15]), (2, [15, 29])]


def test_the_earliest_report_of_each_payment_is_found(tmp_path: Path) -> None:
    reports = {3: 50, 5: 20, 9: 90}
    payments = [Payment(n, 1, 1, 100, FIRST_SECOND, FIRST_SECOND + at) for n, at in reports.items()]
    write_clean(tmp_path, payments)
    batch = pa.RecordBatch.from_pydict({"transaction_id": [1, 3, 4, 5, 9, 10]})
    path = write_earliest_reports(Lake(tmp_path), FIRST_DAY, tmp_path)
    found = pa.Table.from_batches(list(with_reported(iter([batch]), path)))["reported"].to_pylist()
    assert found == [NEVER, FIRST_SECOND + 50, NEVER, FIRST_SECOND + 20, FIRST_SECOND + 90, NEVER]


def test_without_reports_none_is_found(tmp_path: Path) -> None:
    path = write_earliest_reports(Lake(tmp_path), FIRST_DAY, tmp_path)
    batch = pa.RecordBatch.from_pydict({"transaction_id": [1, 2]})
    assert next(with_reported(iter([batch]), path))["reported"].to_pylist() == [NEVER, NEVER]


LARGE = int(os.environ.get("LARGE_ROWS") or 300_000)
"""Rows of the terminal and, five times as many, of the day below. By hand with a million: only then does memory for all
rows at once exceed the limits."""
TERMINAL_BYTES = 250
"""Bytes a row of one terminal: its columns, sorted and unsorted, and the kernel's arrays. Features would add 230."""
DAY_BYTES = 40
"""Bytes a row of a day: its keys and their order. All its features would be 288, and as many for each copy."""


def peak_growth(what: str, rows: int, folder: Path) -> float:
    """By how many MiB a process grows that handles so many rows, compared with few."""
    sizes = []
    for size in (1_000, rows):
        out = folder / str(size)
        out.mkdir()
        command = [sys.executable, "-m", "tests.spark_jobs.large", what, str(size), str(out)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        sizes.append(float(done.stdout))
    return sizes[1] - sizes[0]


def test_a_terminal_with_very_many_payments_needs_memory_for_its_columns_only(tmp_path: Path) -> None:
    assert peak_growth("terminal", LARGE, tmp_path) < 100 + LARGE * TERMINAL_BYTES / 2**20


def test_a_day_with_very_many_payments_needs_memory_for_a_row_group_only(tmp_path: Path) -> None:
    rows = 5 * LARGE
    # Its features, and as much for a copy and for the writer.
    row_group = 2 * 288 * min(rows, ROW_GROUP) / 2**20
    assert peak_growth("day", rows, tmp_path) < 50 + row_group + rows * DAY_BYTES / 2**20
