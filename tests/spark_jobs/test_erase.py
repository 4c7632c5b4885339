"""A forgotten customer is in no table of the lake and in no history, and a later run of a job brings nothing back."""

from __future__ import annotations

import fcntl
import json
import os
import struct
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from contracts.days import DayRange
from contracts.labels import DAY
from contracts.online_state import unpack_history, with_late
from contracts.transaction import from_epoch_seconds
from spark_jobs.erase import erase
from spark_jobs.errors import JobError
from spark_jobs.lake.schemas import TABLES
from spark_jobs.settings import Settings
from spark_jobs.write_online_state import write_online_state
from tests.spark_jobs.conftest import ROOT
from tests.spark_jobs.lakes import (
    FIRST_DAY,
    FIRST_SECOND,
    Payment,
    RawRow,
    digests,
    read_rows,
    write_clean,
    write_raw,
    write_table,
)

GONE = 2**62
"""The customer to forget."""
LAST = FIRST_DAY + timedelta(days=40)
UP_TO_LAST = DayRange(LAST, LAST)
Key = tuple[str, int]


def payments() -> list[Payment]:
    """Three customers who share two terminals, a payment every five hours, some reported."""
    seconds = range(FIRST_SECOND, FIRST_SECOND + 41 * DAY, 5 * 3_600)
    return [
        Payment(n + 1, (1, 2, GONE)[n % 3], 7 + n % 2, n, at, at + 3 * DAY if n % 7 == 0 else None)
        for n, at in enumerate(seconds)
    ]


def write_lake(root: Path) -> list[Payment]:
    made = payments()
    write_clean(root, made)
    write_raw(
        root, [(p.day, RawRow(p.transaction_id, None, p.customer_id, p.terminal_id, "1.00", p.occurred)) for p in made]
    )
    write_table(root, "features", ((p.day, feature_row(p)) for p in made))
    return made


def feature_row(p: Payment) -> dict[str, object]:
    values = dict.fromkeys(TABLES["features"].names, 0.0)
    ids = {"transaction_id": p.transaction_id, "customer_id": p.customer_id, "terminal_id": p.terminal_id}
    return values | ids | {"occurred_at": from_epoch_seconds(p.occurred)}


def quarantined(root: Path, day: date, row: RawRow, reason: str) -> None:
    write_table(root, "quarantine", [(day, row.row() | {"reason": reason})])


def entries_in(state: Any) -> set[Key]:
    """Each history and index with the payments that it has."""
    found: set[Key] = set()
    for key in state.scan_iter():
        name = key.decode()
        if name.startswith(("c:", "t:")) and not name.endswith(":late"):
            _, entries = unpack_history(with_late(state.get(key), state.get(f"{name}:late") or b""))
            found |= {(name, int(number)) for number in entries["transaction_id"]}
        elif name.startswith("i:"):
            found |= {(name, *struct.unpack(">q", number)) for number in state.hkeys(key)}
    return found


def test_nothing_is_left_and_a_later_run_brings_nothing_back(
    spark: SparkSession, live_settings: Settings, state: Any
) -> None:
    root = live_settings.lake_root
    made = write_lake(root)
    quarantined(root, FIRST_DAY, RawRow(9_000, None, GONE, None), "terminal_id_missing")
    write_online_state(spark, live_settings, UP_TO_LAST)
    mine = {p.transaction_id for p in made if p.customer_id == GONE}
    before = entries_in(state)
    assert len([key for key in before if key[1] in mine]) > 150
    reported = {p.transaction_id for p in made if p.customer_id == GONE and p.reported}
    result = erase(live_settings, GONE)
    rows = {"reports": len(reported), "features": len(mine), "clean": len(mine), "quarantine": 1, "raw": len(mine)}
    assert result["rows"] == dict.fromkeys(TABLES, 0) | rows
    removed = {key for key in before if key[1] in mine}
    for kind, prefix in (("history_entries", "c:"), ("terminal_entries", "t:"), ("index_entries", "i:")):
        assert result[kind] == len([key for key in removed if key[0].startswith(prefix)])
    assert entries_in(state) == before - removed
    write_online_state(spark, live_settings, UP_TO_LAST)
    assert entries_in(state) == before - removed
    for table in ("raw", "clean", "quarantine", "features", "reports"):
        assert not {row["transaction_id"] for row in read_rows(root, table)} & mine, table
    assert read_rows(root, "quarantine") == [], "a day without rows has no partition"


def test_others_keep_their_rows_byte_for_byte_and_a_second_run_changes_nothing(
    live_settings: Settings, state: Any
) -> None:
    root = live_settings.lake_root
    write_lake(root)
    wanted = {table: [r for r in read_rows(root, table) if r.get("customer_id") != GONE] for table in ("raw", "clean")}
    schemas = {path: pq.read_schema(path) for path in root.rglob("part.parquet")}
    erase(live_settings, GONE)
    assert {table: read_rows(root, table) for table in wanted} == wanted
    assert all(pq.read_schema(path) == schemas[path] for path in root.rglob("part.parquet"))
    before = digests(root)
    again = erase(live_settings, GONE)
    assert not sum(again["rows"].values()) + sum(value for name, value in again.items() if name.endswith("_entries"))
    assert digests(root) == before
    assert not list((root / "_staging").iterdir())


def test_a_repeated_id_stays_the_other_customer_s(live_settings: Settings, state: Any) -> None:
    """A forgotten customer's row that repeats an id takes neither the report nor the entries of the first."""
    root = live_settings.lake_root
    one = Payment(5, 1, 7, 100, FIRST_SECOND, FIRST_SECOND + DAY)
    write_clean(root, [one])
    repeated = RawRow(2, 5, GONE, 7, "1.00", FIRST_SECOND + 60)
    write_raw(root, [(FIRST_DAY, RawRow(1, 5, 1, 7, "1.00", FIRST_SECOND)), (FIRST_DAY, repeated)])
    state.set("t:7", bytes(8) + struct.pack(">3q", FIRST_SECOND, 5, 100))
    location = struct.pack(">3q", 7, FIRST_SECOND, 100)
    state.hset(f"i:{FIRST_DAY}", struct.pack(">q", 5), location)
    result = erase(live_settings, GONE)
    assert result["rows"] == dict.fromkeys(TABLES, 0) | {"raw": 1}
    assert (result["terminal_entries"], result["index_entries"]) == (0, 0)
    assert state.hget(f"i:{FIRST_DAY}", struct.pack(">q", 5)) == location


def test_values_that_no_payment_has_are_erased_too(live_settings: Settings, state: Any) -> None:
    rows = [
        RawRow(1, None, GONE, None), RawRow(2, None, GONE, 7, "1.00", None), RawRow(3, None, GONE, 7, "x", 2**53),
        RawRow(4, None, GONE, 7, "1.00", -5), RawRow(5, -1, GONE, -1), RawRow(6, None, None, 7),
    ]  # fmt: skip
    write_raw(live_settings.lake_root, [(FIRST_DAY, row) for row in rows])
    assert erase(live_settings, GONE)["rows"]["raw"] == 5
    assert [row["source_row"] for row in read_rows(live_settings.lake_root, "raw")] == [6]


def test_a_floor_stays_and_an_empty_history_goes(live_settings: Settings, state: Any) -> None:
    """After its floor a history is complete: without it the terminal would look new."""
    mine = [Payment(n, GONE, terminal, 100, FIRST_SECOND) for n, terminal in ((1, 7), (2, 8))]
    write_clean(live_settings.lake_root, mine)
    for (key, floor), payment in zip((("t:7", 9), ("t:8", 0)), mine, strict=True):
        state.set(key, struct.pack(">4q", floor, FIRST_SECOND, payment.transaction_id, 100))
    state.set("t:8:late", struct.pack(">3q", FIRST_SECOND, 2, 100))
    assert erase(live_settings, GONE)["terminal_entries"] == 3
    assert (state.get("t:7"), state.exists("t:8", "t:8:late")) == (struct.pack(">q", 9), 0)


def test_while_a_job_runs_nothing_is_erased(live_settings: Settings, state: Any) -> None:
    write_lake(live_settings.lake_root)
    before = digests(live_settings.lake_root)
    folder = live_settings.lake_root / "_staging"
    folder.mkdir()
    with (folder / "ingest-0.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(JobError, match=r"ingest is writing to .*: wait until it ends, then run again"):
            erase(live_settings, GONE)
    assert digests(live_settings.lake_root) == before


def test_the_command_ends_with_one_line_of_json(live_settings: Settings, state: Any, servers: dict[str, str]) -> None:
    write_lake(live_settings.lake_root)
    environment = os.environ | servers | {"LAKE_URI": live_settings.lake_uri, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "spark_jobs.erase", "--customer", str(GONE)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said.keys() == {"job", "rows", "history_entries", "terminal_entries", "index_entries", "seconds"}
    assert str(GONE) not in done.stdout
    done = subprocess.run(
        command, env=environment | {"VALKEY_URL": "valkey://127.0.0.1:1/0"}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "check VALKEY_URL" in done.stderr.splitlines()[-1]) == (1, True)
