"""Staged writes: tasks write each day to a staging folder, then the driver checks all files and moves them into place.

Tasks must not publish themselves: if the JVM dies while a Python worker waits for rows, the worker's iterator ends
normally and the worker would publish a truncated day.
"""

from __future__ import annotations

import fcntl
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from contracts.days import DayRange
from contracts.durable import flush, flush_folders
from spark_jobs.errors import JobError
from spark_jobs.lake.layout import STAGING, Lake, rows_in
from spark_jobs.lake.schemas import SORTED_BY, STAGED, TABLES, arrow_schema

ROWS_PER_TASK = 150_000
"""About how many rows a Python worker holds at once, which bounds its memory for a lake of any size."""
ROW_GROUP = 1 << 20
"""Rows of a row group in the lake's files."""
Batches = Iterator[pa.RecordBatch]


@dataclass(frozen=True)
class Output:
    """A task's rows for one table, with a column `day`, the job's own counts, and the metadata of the files' schema."""

    rows: pa.Table
    counts: Mapping[str, int] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)


ToOutput = Callable[[pa.Table], Output]


@dataclass(frozen=True)
class Staged:
    """A staged file: one day of one table."""

    table: str
    day: date
    rows: int
    path: Path
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Staging:
    """A run's own folder under the lake's `_staging`, with the same path on every machine."""

    lake: Lake
    folder: Path

    def publish(
        self, staged: list[Staged], tables: Iterable[str], days: DayRange, expected: Mapping[date, int]
    ) -> None:
        """Move each staged day into place and remove the days of the range that no longer have rows.

        First checks that each day has as many rows over all `tables` as in `expected`, which is counted independently,
        and that each file has as many rows as its task reported. Raises `JobError`, with the lake unchanged.
        """
        check(staged, expected)
        moved: list[Path] = []
        for one in staged:
            target = self.lake.file(one.table, one.day)
            target.parent.mkdir(parents=True, exist_ok=True)
            # Its task has flushed it.
            one.path.replace(target)
            moved.append(target)
        kept = {(one.table, one.day) for one in staged}
        for table in tables:
            for day in self.lake.days_within(table, days):
                if (table, day) not in kept:
                    # Removed atomically by a rename; deleted with the staging folder.
                    retired = self.lake.file(table, day).parent
                    retired.replace(self.folder / f"retired-{uuid4().hex}")
                    moved.append(retired)
        flush_folders(moved, self.lake.root)


@contextmanager
def staging(lake: Lake, job: str) -> Iterator[Staging]:
    """A new staging folder, removed at the end; folders left by dead runs of the same job are removed first."""
    parent = lake.root / STAGING
    parent.mkdir(parents=True, exist_ok=True)
    _sweep(parent, job)
    folder = parent / f"{job}-{uuid4().hex}"
    with _lock_path(folder).open("w") as lock:
        # Held until this process ends in any way, which tells running runs from dead ones.
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder.mkdir()
        try:
            yield Staging(lake, folder)
        finally:
            _remove(folder)


def running(lake: Lake) -> list[str]:
    """The jobs that are writing to the lake; what dead runs of any job left is removed."""
    parent = lake.root / STAGING
    _sweep(parent, "*")
    return sorted({path.stem.rpartition("-")[0] for path in parent.glob("*.lock")})


def write_staged(
    frame: DataFrame | None,
    outputs: Mapping[str, ToOutput],
    to: Staging,
    days: DayRange,
    expected: Mapping[date, int],
) -> list[Staged]:
    """Write a frame's rows to one or more tables, replacing `days` in them; returns the published files.

    Each task stages what `outputs` makes of its rows for each table; None has no rows. Each day of the frame must be
    whole in one task, and all outputs together must have its `expected` rows. Raises `JobError`, with the lake
    unchanged.
    """
    staged = [] if frame is None else collect_staged(frame, _stager(dict(outputs), str(to.folder)))
    to.publish(staged, outputs, days, expected)
    return staged


def collect_staged(frame: DataFrame, stage: Callable[[Batches], Batches]) -> list[Staged]:
    """The files that tasks stage; `stage` yields `STAGED` records."""
    found = frame.mapInArrow(stage, STAGED).collect()
    return [Staged(row["table"], row["day"], row["rows"], Path(row["path"]), row["counts"]) for row in found]


def _stager(outputs: Mapping[str, ToOutput], folder: str) -> Callable[[Batches], Batches]:
    def stage(batches: Batches) -> Batches:
        held = list(batches)
        if not held:
            return
        rows = pa.Table.from_batches(held)
        held.clear()
        for table, to_output in outputs.items():
            output = to_output(rows)
            yield from stage_days(output.rows, table, folder, output.counts, output.metadata)

    return stage


def stage_days(
    rows: pa.Table,
    table: str,
    folder: str,
    counts: Mapping[str, int] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Iterator[pa.RecordBatch]:
    """In a task, write each day of `rows`, which has a column `day`, to a file in `folder`; yields `STAGED` records.

    `counts` are part of the first record, `metadata` of each file's schema. The same rows give the same bytes, in any
    order and batches.
    """
    if rows.num_rows == 0:
        return
    ordered = rows.combine_chunks().sort_by([(name, "ascending") for name in ("day", *SORTED_BY[table])])
    yield from stage_sorted([ordered], table, folder, counts, metadata)


def stage_sorted(
    parts: Iterable[pa.Table],
    table: str,
    folder: str,
    counts: Mapping[str, int] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Like `stage_days`, for rows in parts that are sorted already, by day and then as the table is.

    A day may continue in the next part. Each part becomes a row group of its own, so give parts of `ROW_GROUP` rows.
    """
    schema = arrow_schema(TABLES[table]).with_metadata(dict(metadata) if metadata else None)
    staged: list[Staged] = []
    with ExitStack() as stack:
        for day, rows in _split_by_day(parts):
            if not staged or staged[-1].day != day:
                stack.close()
                path = Path(folder) / f"{table}-{day}-{uuid4().hex}.parquet"
                writer = stack.enter_context(pq.ParquetWriter(path, schema, compression="zstd"))
                staged.append(Staged(table, day, 0, path, {} if staged else counts or {}))
            writer.write_table(rows.select(schema.names).cast(schema).combine_chunks(), row_group_size=ROW_GROUP)
            staged[-1] = replace(staged[-1], rows=staged[-1].rows + rows.num_rows)
    # All together, which takes a fraction of one after another.
    flush(*(one.path for one in staged))
    yield from map(_staged_batch, staged)


def _split_by_day(parts: Iterable[pa.Table]) -> Iterator[tuple[date, pa.Table]]:
    for rows in parts:
        days = rows["day"].to_numpy()
        starts = np.flatnonzero(np.concatenate(([True], days[1:] != days[:-1])))
        for start, end in zip(starts, [*starts[1:], len(days)], strict=True):
            yield days[start].item(), rows.slice(start, end - start)


def split_days(rows: Mapping[date, int], per_task: int = ROWS_PER_TASK) -> list[list[date]]:
    """The days, in order, in groups of about `per_task` rows; a day with more rows forms its own group."""
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
    """Partition `frame` by day, so that each day is whole in one task and tasks have similar numbers of rows.

    `rows` has the number of rows of every day that occurs in the column.
    """
    groups = split_days(rows)
    if not groups:
        return frame.coalesce(1)
    first = groups[0][0]
    task_of = [0] * ((groups[-1][-1] - first).days + 1)
    for task, group in enumerate(groups):
        for day in group:
            task_of[(day - first).days] = task
    index = F.date_diff(F.col(column), F.lit(first)) + 1
    return frame.repartitionById(len(groups), F.element_at(F.lit(task_of), index))


def check(staged: list[Staged], expected: Mapping[date, int]) -> None:
    """Raise `JobError` if a staged file is incomplete, a table has a day twice, or a day's rows are not as expected."""
    found: Counter[date] = Counter()
    for one in staged:
        found[one.day] += one.rows
        if (opened := rows_in(one.path)) != one.rows:
            raise JobError(f"{one.path} has {opened} rows instead of {one.rows}: nothing was published, run again")
    for (table, twice), tasks in Counter((one.table, one.day) for one in staged).items():
        if tasks > 1:
            raise JobError(f"{tasks} tasks staged the day {twice} of {table}: nothing was published, run again")
    wrong = [day for day in sorted(found.keys() | expected.keys()) if found[day] != expected.get(day, 0)]
    if wrong:
        day = wrong[0]
        raise JobError(
            f"{len(wrong)} days were staged with a wrong number of rows, first {day}: {found[day]} rows instead of "
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
    # A dying worker may still write here; the next run removes what is left.
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
