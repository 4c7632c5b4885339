"""Checks of `write_partition`: run again, killed at every step and in the middle of a file, read meanwhile."""

from __future__ import annotations

import gc
import io
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exercises.expect import Description, IncorrectError, expect

DAY: Final = date(2024, 3, 1)
PART: Final = "day=2024-03-01/part.parquet"
STEPS: Final = 40
CALL: Final = "write_partition(rows, table, 2024-03-01)"
IN_PLACE = (
    "The file was written where readers look for it, so for a while it is incomplete. Write it to another name first, "
    "and rename it when it is complete."
)
GONE = (
    "The old partition was removed before the new one was in place: killed between the two, the day is lost. A rename "
    "replaces an existing file in one step; do not remove it first."
)
IN_SIGHT = (
    "Next to the partition is an incomplete file that readers take for data: they read every file whose name does not "
    "begin with . or _. Use such a name, or such a folder, for the temporary file."
)
APPENDED = (
    "The second run added a second file, so every row is there twice. A partition has one file, with a fixed name, and "
    "a run replaces it."
)
FAILED = "The function fails if the day already exists. A rerun must give the same result."
STEPPING: Final = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"}
Write = Callable[[pa.Table, Path], Any]


def rows_of(version: int, number: int = 30_000) -> pa.Table:
    """Rows that differ from those of another version, and do not compress to nothing."""
    amounts = np.random.default_rng(version).integers(0, 2**40, number)
    return pa.table({"transaction_id": np.arange(number), "version": np.full(number, version), "amount_cents": amounts})


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redirect the machine's temporary folder to one that the check inspects."""
    folder = tmp_path / "machine-tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))


@pytest.fixture
def write(answer: Any) -> Write:
    """Calls `write_partition` for one day."""
    return lambda rows, table: answer.write_partition(rows, table, DAY)


def in_sight(table: Path) -> list[str]:
    """The files that a reader of the whole table takes for data, by path under it."""
    found = (path.relative_to(table) for path in table.rglob("*") if path.is_file())
    return sorted(str(path) for path in found if not any(part[0] in "._" for part in path.parts))


def seen(file: Path, versions: dict[str, pa.Table]) -> str:
    """What a reader sees in a file: the name of a version, nothing, or an incomplete file."""
    try:
        # Opened once: what is moved into its place meanwhile does not matter to this read.
        found = pq.read_table(io.BytesIO(file.read_bytes()))
    except FileNotFoundError:
        return "nothing"
    except (OSError, pa.ArrowException):
        return "half a file"
    for name, rows in versions.items():
        if found.num_rows == rows.num_rows and found.select(rows.column_names).equals(rows):
            return name
    return f"other rows ({found.num_rows:,} of them)"


def test_layout(write: Write, tmp_path: Path) -> None:
    """One file with the right name, in the folder of its day, with the given rows."""
    rows, table = rows_of(1, 5), tmp_path / "lake" / "payments"
    write(rows, table)
    otherwise = "A day's partition must be the single file day=YYYY-MM-DD/part.parquet under the table's folder."
    nothing = "Nothing was written under the table's folder. Create missing folders."
    call = f"{CALL}: the files under table"
    expect(call, in_sight(table) if table.exists() else [], [PART], otherwise, [([], nothing)])
    otherwise = "The file does not contain the given rows."
    expect(f"{CALL}: the file", Description(seen(table / PART, {"the rows": rows})), "the rows", otherwise)


def test_run_again(write: Write, tmp_path: Path) -> None:
    """A second run replaces the first, and other days stay."""
    other = tmp_path / "day=2024-02-29" / "part.parquet"
    other.parent.mkdir()
    pq.write_table(rows_of(7, 5), other)
    write(rows_of(1, 5), tmp_path)
    write(rows_of(2, 8), tmp_path)
    files = sorted(["day=2024-02-29/part.parquet", PART])
    call = f"{CALL}, twice, where 2024-02-29 is there already: the files under table"
    otherwise = "After any number of runs, the day must have one file, and other days must be unchanged."
    other_day = "Another day was removed. A run replaces only its own day."
    actual = in_sight(tmp_path)
    mistakes = [(lambda actual: len(actual) > 2, APPENDED), (lambda actual: str(files[0]) not in actual, other_day)]
    expect(call, actual, files, otherwise, mistakes)
    versions = {"the rows of the second run": rows_of(2, 8), "the rows of the first run": rows_of(1, 5)}
    told: list[tuple[object, str]] = [
        ("the rows of the first run", "The second run did not replace what the first had written."),
        ("other rows (13 of them)", "The second run added its rows to those of the first. A run replaces the day."),
    ]
    expect(
        f"{CALL}, twice: the file",
        Description(seen(tmp_path / PART, versions)),
        "the rows of the second run",
        "The day does not contain the rows of the second run.",
        told,
    )
    otherwise = "Another day was changed. A run replaces only its own day."
    expect(f"{CALL}: 2024-02-29", Description(seen(other, {"as it was": rows_of(7, 5)})), "as it was", otherwise)


def start(work: Callable[[], object], told: Path) -> int:
    """Run this work in a child process, which reports an exception and exits with 1; returns the process's id."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:
            told.write_text(f"{type(error).__name__}: {error}")
            os._exit(1)
        os._exit(0)
    return child


def wait_for(child: int) -> int:
    """Wait until it ends; returns its exit code, minus a signal's number where one killed it."""
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    except BaseException:
        # It does not end in time, and must not stay behind.
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise


def die_before_step(step: int, below: Path) -> None:
    """Kill this process before it opens a file under a folder, or makes, moves or removes one, for the n-th time."""
    left = [step]

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in STEPPING:
            return
        if event == "open" and not any(str(below) in os.fsdecode(one) for one in paths_in(arguments)):
            return
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def paths_in(arguments: tuple[Any, ...]) -> list[str | bytes]:
    """Those of an event's arguments that are paths."""
    return [os.fspath(one) for one in arguments if isinstance(one, str | bytes | os.PathLike)]


def die_at_byte(limit: int) -> None:
    """Have the kernel kill this process when one of its files exceeds a size."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def judge_killed(table: Path, where: str) -> None:
    """What a killed run left must be the old partition or the new one."""
    versions = {"the old partition": rows_of(1), "the new partition": rows_of(2)}
    actual = seen(table / PART, versions)
    expect(
        f"{CALL}, killed {where}: what a reader sees",
        Description(actual),
        Description("the old partition, or the new one"),
        "After a kill, the day must be completely old or completely new.",
        [(lambda actual: actual == "nothing", GONE), (lambda actual: actual not in ("nothing", *versions), IN_PLACE)],
        same=lambda actual, _: actual in versions,
    )
    expect(f"{CALL}, killed {where}: the files under table", in_sight(table), [PART], IN_SIGHT)


def killed(write: Write, table: Path, prepare: Callable[[], None], where: str) -> bool:
    """Write the old rows, then the new ones in a process that is killed, and look; False where it lived to its end."""
    write(rows_of(1), table)
    new, told = rows_of(2), table.with_name("told")

    def work() -> None:
        prepare()
        write(new, table)

    code = wait_for(start(work, told))
    if code == 1:
        raise IncorrectError(
            f"{CALL} over rows that are there", Description(told.read_text()), Description("no error"), FAILED
        )
    judge_killed(table, where)
    return code != 0


def test_killed_in_the_middle_of_a_file(write: Write, tmp_path: Path) -> None:
    """Killed by the kernel at some byte of the file it writes, by whatever means it writes."""
    gc.collect()
    table = tmp_path / "payments"
    write(rows_of(2), table)
    size = (table / PART).stat().st_size
    for limit in (0, 4, size // 2, size - 1):
        killed(write, table, partial(die_at_byte, limit), f"after {limit:,} of {size:,} bytes were written")


def test_killed_between_two_steps(write: Write, tmp_path: Path) -> None:
    """Killed before every single step that Python takes under the folder."""
    table = tmp_path / "payments"
    for step in range(STEPS):
        where = f"before its step {step + 1} (opening, making, moving or removing a file)"
        if not killed(write, table, partial(die_before_step, step, tmp_path), where):
            break
    versions = {"the new partition": rows_of(3)}
    write(rows_of(3), table)
    otherwise = "A run after killed ones did not replace the day."
    expect(f"{CALL}, after killed runs", Description(seen(table / PART, versions)), "the new partition", otherwise)
    everything = {path for path in tmp_path.rglob("*") if path.is_file()} - {table.with_name("told")}
    left = sorted(os.path.relpath(path, table) for path in everything)
    otherwise = (
        "Killed runs left files behind, and the next run did not remove them: they would pile up. Use a fixed name, "
        "which the next run overwrites, or clean up."
    )
    call = f"{CALL}, after killed runs: all files that are left, seen from table, hidden ones too"
    expect(call, left, [PART], otherwise)


def test_killed_where_no_day_is_there(write: Write, tmp_path: Path) -> None:
    """The first write of a day is atomic too: readers see nothing, or all of it."""
    new = rows_of(2)
    for number, prepare in enumerate(
        [partial(die_at_byte, 4), *(partial(die_before_step, n, tmp_path) for n in range(6))]
    ):
        table = tmp_path / f"payments-{number}"
        wait_for(start(partial(prepared, prepare, write, new, table), tmp_path / "told"))
        actual = seen(table / PART, {"the new partition": new})
        expect(
            f"{CALL}, killed while it wrote the day for the first time: what a reader sees",
            Description(actual),
            Description("nothing, or the new partition"),
            "On the first write too, readers must never see an incomplete day. " + IN_PLACE,
            same=lambda actual, _: actual in ("nothing", "the new partition"),
        )


def prepared(prepare: Callable[[], None], write: Write, rows: pa.Table, table: Path) -> None:
    """Arrange for the end of this process, then write."""
    prepare()
    write(rows, table)


def test_read_while_it_is_written(write: Write, tmp_path: Path) -> None:
    """A reader that looks all the time sees a whole day, old or new, at every moment."""
    write(rows_of(1), tmp_path)
    versions = {"the old partition": rows_of(1), "the new partition": rows_of(2)}
    told = tmp_path.with_name(f"{tmp_path.name}-told")

    def work() -> None:
        for _ in range(10):
            for rows in (rows_of(2), rows_of(1)):
                write(rows, tmp_path)

    child = start(work, told)
    actual: set[str] = set()
    try:
        while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            actual.add(seen(tmp_path / PART, versions))
    finally:
        wait_for(child)
    bad = sorted(actual - set(versions))
    otherwise = "A reader saw an incomplete day while it was being rewritten."
    mistakes = [(lambda actual: "nothing" in actual, GONE), (lambda actual: "half a file" in actual, IN_PLACE)]
    expect("reading the day while write_partition writes it 20 times: what else was seen", bad, [], otherwise, mistakes)


def test_agrees_with_production(answer: Any, tmp_path: Path) -> None:
    """Three days of `raw`, one of them written again: the pipeline's reader sees what its own staged write leaves."""
    from contracts.days import DayRange
    from spark_jobs.lake.layout import Lake
    from spark_jobs.lake.schemas import TABLES, arrow_schema
    from spark_jobs.lake.staged_write import Staged, stage_days, staging

    mine, theirs = Lake(tmp_path / "mine"), Lake(tmp_path / "theirs")
    theirs.root.mkdir()
    days = [DAY + timedelta(days=n) for n in (0, 1, 2, 1)]
    for run, day in enumerate(days):
        rows = raw_rows(run, arrow_schema(TABLES["raw"]))
        answer.write_partition(rows, mine.root / "raw", day)
        with staging(theirs, "job") as own:
            with_day = rows.append_column("day", pa.array([day] * rows.num_rows, pa.date32()))
            said = [one for batch in stage_days(with_day, "raw", str(own.folder)) for one in batch.to_pylist()]
            staged = [Staged(one["table"], one["day"], one["rows"], Path(one["path"]), {}) for one in said]
            own.publish(staged, ["raw"], DayRange(day, day), {day: rows.num_rows})
    call = "write_partition for three days, the second twice"
    otherwise = "The pipeline finds different days or row counts from those that its own jobs write."
    expect(call, counted(mine), counted(theirs), otherwise)
    for day in theirs.days("raw"):
        tables = [pq.read_table(io.BytesIO(lake.file("raw", day).read_bytes())) for lake in (mine, theirs)]
        rows_read = [sorted(map(str, table.to_pylist())) for table in tables]
        same = Description("the rows of the pipeline's own write")
        actual = same if rows_read[0] == rows_read[1] else Description("other rows")
        expect(f"{call}: what is read of {day}", actual, same, "The day does not contain the rows of its last run.")


def counted(lake: Any) -> dict[str, int]:
    """The days of `raw`, and how many rows each has."""
    return {str(day): rows for day, rows in lake.rows("raw", lake.days("raw")).items()}


def raw_rows(run: int, schema: pa.Schema) -> pa.Table:
    """50 rows of `raw` and more, other ones in each run."""
    chance = np.random.default_rng(run)
    numbers = range(50 + run)
    ids = chance.integers(0, 10**6, len(numbers)).tolist()
    rows = [{"source": "a", "source_row": n, "transaction_id": ids[n], "amount": "1.50"} for n in numbers]
    return pa.Table.from_pylist(rows, schema=schema)
