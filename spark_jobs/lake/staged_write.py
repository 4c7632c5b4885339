"""The staged write: tasks write a file for each day aside, the driver checks them all and moves them into place.

A task must not publish by itself: if the JVM dies while a Python worker waits for rows, the worker's iterator ends as
if there were no more, and what it then wrote is a truncated day.
"""

from __future__ import annotations

import fcntl
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from contracts.days import DayRange
from spark_jobs.errors import JobError
from spark_jobs.lake.layout import STAGING, Lake, rows_in
from spark_jobs.lake.schemas import SORTED_BY, STAGED, TABLES, arrow_schema

ROWS_PER_TASK = 150_000
"""How many rows a Python worker holds at once, about: it bounds its memory however large the lake is."""


@dataclass(frozen=True)
class Staged:
    """One day of one table, written aside."""

    table: str
    day: date
    rows: int
    path: Path
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Staging:
    """One run's own folder below the lake's `_staging`, on every machine the same."""

    lake: Lake
    folder: Path

    def publish(
        self, staged: list[Staged], tables: Iterable[str], days: DayRange, expected: Mapping[date, int]
    ) -> None:
        """Move each staged day into place and remove the days of the range that have no rows any more.

        Before anything moves: each day's rows over all `tables` must be those of `expected`, counted independently,
        and each file must open with as many rows as its task said. Raises `JobError`; the lake is then as it was.
        """
        check(staged, expected)
        for one in staged:
            target = self.lake.file(one.table, one.day)
            target.parent.mkdir(parents=True, exist_ok=True)
            one.path.replace(target)
        kept = {(one.table, one.day) for one in staged}
        for table in tables:
            for day in self.lake.days_within(table, days):
                if (table, day) not in kept:
                    # Gone in one step; deleted with the folder.
                    self.lake.file(table, day).parent.replace(self.folder / f"retired-{uuid4().hex}")


@contextmanager
def staging(lake: Lake, job: str) -> Iterator[Staging]:
    """A folder of this run's own, gone at its end; what dead runs of the same job left is swept first."""
    parent = lake.root / STAGING
    parent.mkdir(parents=True, exist_ok=True)
    _sweep(parent, job)
    folder = parent / f"{job}-{uuid4().hex}"
    with _lock_path(folder).open("w") as lock:
        # Held until this process ends, however it ends: thus a run that still works is told from a dead one.
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder.mkdir()
        try:
            yield Staging(lake, folder)
        finally:
            _remove(folder)


def stage_days(
    rows: pa.Table, table: str, folder: str, counts: Mapping[str, int] | None = None
) -> Iterator[pa.RecordBatch]:
    """In a task: write each day of `rows` (which has a column `day`) to a file below `folder`; yields `STAGED`.

    `counts` go with the first of them. The same rows make the same bytes, in whatever order and batches they came.
    """
    if rows.num_rows == 0:
        return
    schema = arrow_schema(TABLES[table])
    ordered = rows.combine_chunks().sort_by([(name, "ascending") for name in ("day", *SORTED_BY[table])])
    days = ordered["day"].to_numpy()
    starts = np.flatnonzero(np.concatenate(([True], days[1:] != days[:-1])))
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(days)], strict=True)):
        day = days[start].item()
        path = Path(folder) / f"{table}-{day}-{uuid4().hex}.parquet"
        one_day = ordered.slice(start, end - start).select(schema.names).cast(schema).combine_chunks()
        pq.write_table(one_day, path, compression="zstd", row_group_size=1 << 20)
        yield _staged_batch(Staged(table, day, end - start, path, counts or {} if number == 0 else {}))


def gather(batches: Iterable[pa.RecordBatch]) -> pa.Table | None:
    """All rows of a task's input, None where there are none."""
    held = list(batches)
    return pa.Table.from_batches(held) if held else None


def collect_staged(frame: DataFrame) -> list[Staged]:
    """Run the tasks and collect what they staged."""
    return [Staged(r["table"], r["day"], r["rows"], Path(r["path"]), r["counts"]) for r in frame.collect()]


def split_days(rows: Mapping[date, int], per_task: int = ROWS_PER_TASK) -> list[list[date]]:
    """The days, in order, in groups of about `per_task` rows; a larger day is a group of its own."""
    groups: list[list[date]] = []
    held = 0
    for day in sorted(rows):
        if not groups or held + rows[day] > per_task:
            groups.append([])
            held = 0
        groups[-1].append(day)
        held += rows[day]
    return groups


def by_day(frame: DataFrame, rows: Mapping[date, int], column: str = "day") -> DataFrame:
    """`frame` with each day whole in one task, the days spread by how many rows they have.

    `rows` has every day that the column can hold, with its number of rows.
    """
    groups = split_days(rows)
    if not groups:
        return frame.coalesce(1)
    first = groups[0][0]
    task_of = [0] * ((groups[-1][-1] - first).days + 1)
    for task, group in enumerate(groups):
        for day in group:
            task_of[(day - first).days] = task
    place = F.date_diff(F.col(column), F.lit(first)) + 1
    return frame.repartitionById(len(groups), F.element_at(F.lit(task_of), place))


def check(staged: list[Staged], expected: Mapping[date, int]) -> None:
    """Raise `JobError` where the staged files are not whole: each with its rows, each day once a table, as expected."""
    found: Counter[date] = Counter()
    for one in staged:
        found[one.day] += one.rows
        if (opened := rows_in(one.path)) != one.rows:
            raise JobError(f"{one.path} holds {opened} rows and not {one.rows}: nothing was published, run again")
    if len({(one.table, one.day) for one in staged}) != len(staged):
        raise JobError("two tasks staged the same day: nothing was published, run again")
    wrong = [day for day in sorted(found.keys() | expected.keys()) if found[day] != expected.get(day, 0)]
    if wrong:
        day = wrong[0]
        raise JobError(
            f"{len(wrong)} days were staged with a wrong number of rows, first {day}: {found[day]} rows and not "
            f"{expected.get(day, 0)}: nothing was published, run again"
        )


def _sweep(parent: Path, job: str) -> None:
    for lock_path in parent.glob(f"{job}-*.lock"):
        with lock_path.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            _remove(lock_path.with_suffix(""))


def _remove(folder: Path) -> None:
    # A dying worker may still write here: what is left is swept by the next run.
    shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        _lock_path(folder).unlink(missing_ok=True)


def _lock_path(folder: Path) -> Path:
    return folder.with_suffix(".lock")


def _staged_batch(staged: Staged) -> pa.RecordBatch:
    row = {
        "table": staged.table,
        "day": staged.day,
        "rows": int(staged.rows),
        "path": str(staged.path),
        "counts": list(staged.counts.items()),
    }
    return pa.RecordBatch.from_pylist([row], schema=arrow_schema(STAGED))
