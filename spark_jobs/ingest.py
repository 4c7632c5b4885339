"""Ingest: copy a range of days from the bank to the lake: payments, fraud reports and unknown labels.

It also finds the days before with rows that landed after they were ingested (`spark_jobs/late_rows.py`).
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from pyspark.sql import SparkSession

from contracts.days import DayRange
from spark_jobs.io.bank_source import DAY_OF, read_bank
from spark_jobs.io.postgres import connect
from spark_jobs.lake.layout import Lake
from spark_jobs.lake.sources import write_source_numbers
from spark_jobs.lake.staged_write import Output, ToOutput, split_days, staging, write_staged
from spark_jobs.lake.timestamps import to_timestamps
from spark_jobs.late_rows import days_to_rerun, describe, span_of, stale_days
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
    """Copy these days from the bank to the lake; returns rows in, rows out, reports and days to run again.

    Raises `JobError`.
    """
    lake = Lake(settings.lake_root)
    span = span_of(lake, LAKE_TABLES.values(), days)
    counted, written, stale = {}, {}, dict[str, set[date]]()
    with _bank(settings) as cursor, staging(lake, JOB) as own:
        # The tasks read the snapshot that is counted here, so rows that land meanwhile do not matter.
        snapshot = _rows(cursor, "select pg_export_snapshot()")[0][0]
        for landing, table in LAKE_TABLES.items():
            landed = count_days(cursor, landing, span)
            expected = {day: rows for day, rows in landed.items() if days.first <= day <= days.last}
            counted[table] = sum(expected.values())
            print(f"{JOB} {days}: {counted[table]:,} rows of bank.{landing} on {len(expected)} days", flush=True)
            groups = split_days(expected, READ_ROWS)
            frame = read_bank(spark, settings, snapshot, landing, groups) if groups else None
            staged = write_staged(frame, {table: OUTPUTS[table]}, own, days, expected)
            written[table] = sum(one.rows for one in staged)
            print(f"{JOB} {days}: wrote {written[table]:,} rows to {lake.root / table}", flush=True)
            stale[table] = stale_days(lake, table, span, landed)
        write_source_numbers(lake.root, dict(_rows(cursor, "select source, number from bank.sources")))
        late = stale["raw"] | stale["reports"] | _days_with_the_ids_of(cursor, stale["raw"], span)
    again = days_to_rerun(lake, late)
    if again:
        print(f"{JOB} {days}: {describe(late, again)}", flush=True)
    return {
        "rows_in": counted["raw"],
        "rows_out": written["raw"],
        "reports": written["reports"],
        "days_to_rerun": [str(day) for day in again],
    }


def count_days(cursor: Cursor, landing: str, days: DayRange) -> dict[date, int]:
    """The number of rows of each day of a landing table; days without rows are left out."""
    day = DAY_OF[landing]
    within = f"{day} between '{days.first}' and '{days.last}'"
    return dict(_rows(cursor, f"select {day}, count(*) from bank.{landing} where {within} group by 1"))


def _days_with_the_ids_of(cursor: Cursor, late: Collection[date], span: DayRange) -> set[date]:
    """The days with other rows of these days' ids: which row is kept may change. The query reads the whole table."""
    if not late:
        return set()
    ids = "select transaction_id from bank.transactions where day in ({})"
    listed = ", ".join(f"'{day}'" for day in sorted(late))
    query = (
        "select distinct day from bank.transactions "
        f"where day between '{span.first}' and '{span.last}' and transaction_id in ({ids.format(listed)})"
    )
    return {row[0] for row in _rows(cursor, query)} - set(late)


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
