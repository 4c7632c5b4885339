"""`make bench-features` on a few thousand payments, and its parts."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from bank.feed import SimulatedFeed
from bank.simulator import Simulation
from benchmarks.features import __main__ as bench
from benchmarks.features.compare import differences
from benchmarks.features.contenders import DUCKDB, DUCKDB_WINDOWS, JOB, OTHERS
from benchmarks.features.measure import measure
from benchmarks.features.options import Options, read_options
from benchmarks.features.prepare import write_lake
from benchmarks.features.report import report, show
from benchmarks.handbook.data import read_payments
from contracts.features import FEATURES
from contracts.labels import DAY, LABEL_DELAY
from demo.environment import own_environment
from demo.options import OptionsError
from demo.step_runner import Steps

SPIN = "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass"


def test_all_contenders_run_and_have_our_features(tmp_path: Path) -> None:
    console = Console(record=True, width=150)
    run = bench.bench(Options(), 3_000, Steps(console), tmp_path / "bench")
    names = [JOB, *(one.name for one in OTHERS)]
    found = {one["name"]: one for one in run["measured"]}
    assert (list(found), [one["failed"] for one in found.values() if one["code"]]) == (names, [])
    assert [one["features"] for one in found.values()] == [32, 32, 15, 15, 23]
    assert all(one["cpu_seconds"] > 0 and one["peak_mb"] > 20 and one["seconds"] > 0 for one in found.values())
    assert all(found[one.name]["compared"]["values"] > 0 for one in OTHERS)
    results = report([run], {}, 2)
    assert results["runs"][0]["job_to_duckdb_15"] == round(found[JOB]["seconds"] / found[DUCKDB]["seconds"], 2)
    show(results, console)
    assert DUCKDB_WINDOWS in console.export_text()
    assert not (tmp_path / "bench").exists()


def test_cpu_and_memory_of_child_processes_count(tmp_path: Path) -> None:
    child = f"{SPIN}\nheld = bytes(range(256)) * (100 << 12)\ntime.sleep(0.5)"
    code = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {child!r}]).wait()\n{SPIN}\nsys.exit(3)"
    found = measure([sys.executable, "-c", code], own_environment({}), tmp_path / "log")
    assert found.code == 3
    assert found.cpu_seconds >= 0.6
    assert found.peak_mb > 100


def test_payments_are_repeated_under_other_ids_and_on_the_same_days(tmp_path: Path) -> None:
    payments, _ = read_payments(SimulatedFeed(Simulation(customers=20, terminals=40, days=10)))
    written = write_lake(payments, int(2.5 * len(payments)), tmp_path)
    clean = pa.concat_tables(pq.read_table(one, partitioning=None) for one in sorted(tmp_path.glob("clean/*/*")))
    assert written["rows"] == clean.num_rows == pytest.approx(2.5 * len(payments), rel=0.2)
    assert len(set(clean["transaction_id"].to_pylist())) == clean.num_rows
    customers = set(payments.customer_id.tolist())
    assert 2 * len(customers) < len(set(clean["customer_id"].to_pylist())) < 3 * len(customers)
    for path in tmp_path.glob("clean/*/*"):
        rows = pq.read_table(path, partitioning=None)
        days = rows["occurred_at"].cast(pa.int64()).to_numpy() // (DAY * 1_000_000)
        assert set(days) == {np.datetime64(path.parent.name.removeprefix("day=")).astype(int)}
        assert rows.equals(rows.sort_by([("occurred_at", "ascending"), ("transaction_id", "ascending")]))
    reports = pa.concat_tables(pq.read_table(one, partitioning=None) for one in tmp_path.glob("reports/*/*"))
    occurred = dict(zip(clean["transaction_id"].to_pylist(), clean["occurred_at"].to_pylist(), strict=True))
    delays = {(row["reported_at"] - occurred[row["transaction_id"]]).total_seconds() for row in reports.to_pylist()}
    assert (reports.num_rows, delays) == (written["reports"], {float(LABEL_DELAY)})


def test_another_value_is_found_unless_payments_share_their_second() -> None:
    rows = {"transaction_id": [1, 2, 3], "customer_id": [7, 7, 7], "occurred_at": [5, 5, 6]}
    ours = pa.table({**rows, **{name: [1.0, 1.0, 1.0] for name in FEATURES}})
    theirs = pa.table({"transaction_id": [1, 2, 3], "amount": [1.0, 2.0, 1.0 + 1e-9], "is_night": [1, 1, 1]})
    assert differences(ours, theirs) == {"features": 2, "values": 6, "different": 1, "in_the_same_second": 1}
    with pytest.raises(ValueError, match="they have 2 payments, not our 3"):
        differences(ours, theirs.slice(0, 2))


def test_numbers_of_payments_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROWS", "5_000, 70000")
    assert read_options().rows == (5_000, 70_000)
    for wrong in ("10", "many", "5000,"):
        monkeypatch.setenv("ROWS", wrong)
        with pytest.raises(OptionsError, match="ROWS="):
            read_options()
