"""Ingest: copy a range of days from the bank to the lake: payments, fraud reports and unknown labels."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from pyspark.sql import SparkSession

from contracts.days import DayRange
from spark_jobs.io.bank_source import DAY_OF, read_bank
from spark_jobs.io.postgres import connect
from spark_jobs.lake.layout import Lake
from spark_jobs.lake.staged_write import Output, ToOutput, split_days, staging, write_staged
from spark_jobs.lake.timestamps import to_timestamps
from spark_jobs.runner import Result
from spark_jobs.session import run_spark_job
from spark_jobs.settings import BANK_READER, BANK_SECRET, Settings, read_secret

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Cursor

JOB: Final = "ingest"
LAKE_TABLES: Final = {"transactions": "raw", "fraud_reports": "reports", "unknown_labels": "unknown_labels"}
READ_ROWS: Final = 50_000
"""About how many rows a task reads; both the reading and the writing worker hold them in memory."""


def ingest(spark: SparkSession, settings: Settings, days: DayRange) -> Result:
    """Copy these days from the bank to the lake; returns rows in, rows out and reports. Raises `JobError`."""
    lake = Lake(settings.lake_root)
    counted, written = {}, {}
    with _bank(settings) as cursor, staging(lake, JOB) as own:
        # The tasks read the snapshot that is counted here, so rows that land meanwhile do not matter.
        snapshot = _rows(cursor, "select pg_export_snapshot()")[0][0]
        for landing, table in LAKE_TABLES.items():
            expected = count_days(cursor, landing, days)
            counted[table] = sum(expected.values())
            print(f"{JOB} {days}: {counted[table]:,} rows of bank.{landing} on {len(expected)} days", flush=True)
            groups = split_days(expected, READ_ROWS)
            frame = read_bank(spark, settings, snapshot, landing, groups) if groups else None
            staged = write_staged(frame, {table: OUTPUTS[table]}, own, days, expected)
            written[table] = sum(one.rows for one in staged)
            print(f"{JOB} {days}: wrote {written[table]:,} rows to {lake.root / table}", flush=True)
    return {"rows_in": counted["raw"], "rows_out": written["raw"], "reports": written["reports"]}


def count_days(cursor: Cursor, landing: str, days: DayRange) -> dict[date, int]:
    """The number of rows of each day of a landing table; days without rows are left out."""
    day = DAY_OF[landing]
    within = f"{day} between '{days.first}' and '{days.last}'"
    return dict(_rows(cursor, f"select {day}, count(*) from bank.{landing} where {within} group by 1"))


@contextmanager
def _bank(settings: Settings) -> Iterator[Cursor]:
    password = read_secret(settings.secrets_dir, BANK_SECRET)
    with connect(settings.bank_url, BANK_READER, password, "BANK_URL") as cursor:
        yield cursor


def _rows(cursor: Cursor, query: str) -> list[tuple[Any, ...]]:
    cursor.execute(query)
    return cursor.fetchall()


def _reports_output(rows: pa.Table) -> Output:
    column = rows.schema.get_field_index("reported_at")
    return Output(rows.set_column(column, "reported_at", to_timestamps(rows["reported_at"])))


OUTPUTS: Final[Mapping[str, ToOutput]] = {"raw": Output, "reports": _reports_output, "unknown_labels": Output}


if __name__ == "__main__":
    sys.exit(run_spark_job(JOB, ingest))
