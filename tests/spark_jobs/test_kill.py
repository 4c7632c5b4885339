"""Jobs killed while writing leave every day whole, old or new; a rerun gives the result of a run without a kill."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from contracts.days import DayRange
from contracts.labels import DAY
from spark_jobs.build_features import build_features
from spark_jobs.lake.layout import Lake
from spark_jobs.lake.schemas import TABLES, arrow_schema
from spark_jobs.lake.staged_write import staging
from spark_jobs.runner import Result
from spark_jobs.settings import Settings
from spark_jobs.validate import validate
from tests.spark_jobs import processes
from tests.spark_jobs.lakes import FIRST_DAY, FIRST_SECOND, RawRow, digests, write_raw
from tests.spark_jobs.test_staged_write import DAYS as FEW_DAYS
from tests.spark_jobs.test_staged_write import RANGE, stage

DAYS = 16
ROWS_A_DAY = 6_000
ALL = DayRange(FIRST_DAY, FIRST_DAY + timedelta(days=DAYS - 1))
OPTIONS = ("--from", str(ALL.first), "--to", str(ALL.last))
Job = Callable[[SparkSession, Settings, DayRange], Result]
JOBS: dict[str, tuple[Job, str, tuple[str, ...]]] = {
    "validate": (validate, "raw", ("clean", "quarantine")),
    "build_features": (build_features, "clean", ("features",)),
}
"""Each job, what it reads and what it writes."""


@dataclass(frozen=True)
class Before:
    """Two lakes, one built from older rows than the other, and their digests."""

    lake: Path
    newer: Path
    old: dict[str, str]
    new: dict[str, str]


def write_big_raw(root: Path, seed: int) -> None:
    """Write days with many rows, one in fifty with a negative amount; another seed has the same days and ids."""
    for n, day in enumerate(ALL.days()):
        chance = np.random.default_rng((seed, n))
        count = ROWS_A_DAY
        seconds = FIRST_SECOND + n * DAY + chance.integers(0, DAY, count)
        cents = chance.integers(-200, 9_800, count)
        columns = {
            "source": ["source"] * count,
            "source_row": np.arange(count) + n * count,
            "transaction_id": np.arange(count) + n * count,
            "customer_id": chance.integers(0, 2_000, count),
            "terminal_id": chance.integers(0, 4_000, count),
            "amount": [f"{value // 100}.50" for value in cents],
            "occurred_at": seconds,
            "occurred_micros": np.zeros(count, dtype=bool),
            "arrived_at": seconds,
        }
        path = Lake(root).file("raw", day)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns, schema=arrow_schema(TABLES["raw"])), path)


@pytest.fixture(scope="module")
def before(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Before:
    """Two lakes with every table, each built from a different `raw`."""
    old, new = tmp_path_factory.mktemp("old"), tmp_path_factory.mktemp("new")
    for root, seed in ((old, 1), (new, 2)):
        write_big_raw(root, seed)
        for job in (validate, build_features):
            job(spark, Settings(lake_uri=str(root)), ALL)
    return Before(old, new, digests(old), digests(new))


def lake_with_newer(before: Before, table: str, lake: Path) -> Path:
    """A copy of the older lake in which one table is newer already, for a job to be killed in."""
    shutil.copytree(before.lake, lake)
    shutil.copytree(before.newer / table, lake / table, dirs_exist_ok=True)
    return lake


def wait_for_a_staged_file(running: subprocess.Popen[str], lake: Path, job: str, files: str) -> None:
    """Return as soon as a task has begun its first file of this kind, with every process of the job stopped."""
    while not list(lake.glob(f"_staging/{job}-*/{files}")):
        assert running.poll() is None, running.communicate()
        time.sleep(0.002)
    processes.send(processes.tree(running.pid), signal.SIGSTOP)


DAYS_OF_TABLES, BLOCKS = "*.parquet", "blocks-*.arrow"


@pytest.mark.parametrize(
    ("job", "victim", "files"),
    [
        *(("validate", victim, DAYS_OF_TABLES) for victim in ("driver", "jvm", "worker")),
        *(("build_features", "jvm", files) for files in (BLOCKS, DAYS_OF_TABLES)),
    ],
)
def test_a_killed_job_leaves_every_day_whole_and_can_be_rerun(
    spark: SparkSession,
    submit: Callable[..., subprocess.Popen[str]],
    before: Before,
    tmp_path: Path,
    job: str,
    victim: str,
    files: str,
) -> None:
    run, reads, tables = JOBS[job]
    lake = lake_with_newer(before, reads, tmp_path / "lake")
    running = submit(job, lake, *OPTIONS)
    wait_for_a_staged_file(running, lake, job, files)
    held = processes.tree(running.pid)
    victims = [pid for pid, kind in held.items() if kind == victim]
    assert victims, held
    processes.send(victims, signal.SIGKILL)
    processes.send(held, signal.SIGCONT)
    running.communicate(timeout=240)
    processes.wait_until_gone(held)
    assert running.returncode != 0
    found = digests(lake)
    for name in [name for name in before.old if name.startswith(tables)]:
        assert found[name] in (before.old[name], before.new[name]), name
    run(spark, Settings(lake_uri=str(lake)), ALL)
    again = {name: value for name, value in digests(lake).items() if name.startswith(tables)}
    assert again == {name: value for name, value in before.new.items() if name.startswith(tables)}
    assert list((lake / "_staging").iterdir()) == []


def publish_and_die(root: Path, moves: int) -> None:
    """Publish three days and remove one, killed after this many moves."""
    left = moves
    replace = os.replace

    def replace_or_die(*paths: Path) -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        replace(*paths)

    os.replace = replace_or_die  # type: ignore[assignment]
    publish_new(root)


def publish_new(root: Path) -> None:
    with staging(Lake(root), "job") as own:
        staged = stage(own.folder, [(day, RawRow(n, amount="2.00")) for n, day in enumerate(FEW_DAYS[:3])])
        own.publish(staged, ["raw"], RANGE, dict.fromkeys(FEW_DAYS[:3], 1))


@pytest.mark.parametrize("moves", range(4))
def test_a_driver_killed_between_two_moves_leaves_every_day_whole(tmp_path: Path, moves: int) -> None:
    write_raw(tmp_path / "lake", [(day, RawRow(n)) for n, day in enumerate(FEW_DAYS)])
    old = digests(tmp_path / "lake")
    shutil.copytree(tmp_path / "lake", tmp_path / "whole")
    publish_new(tmp_path / "whole")
    new = digests(tmp_path / "whole")
    child = multiprocessing.get_context("fork").Process(target=publish_and_die, args=(tmp_path / "lake", moves))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    names = sorted(old)
    found = digests(tmp_path / "lake")
    assert found == {name: (new if n < moves else old)[name] for n, name in enumerate(names)}
    publish_new(tmp_path / "lake")
    assert digests(tmp_path / "lake") == new
    assert list((tmp_path / "lake/_staging").iterdir()) == []
