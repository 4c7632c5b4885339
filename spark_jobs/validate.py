"""Validate: rows of `raw` that meet the contract go to `clean`, the others to `quarantine` with their reason."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from contracts.days import DayRange
from contracts.labels import DAY
from spark_jobs.errors import JobError
from spark_jobs.lake.layout import Lake, read_days
from spark_jobs.lake.staged_write import Output, Staged, by_day, staging, write_staged
from spark_jobs.lake.timestamps import to_timestamps
from spark_jobs.quarantine_reasons import cents, reason
from spark_jobs.repeated_ids import mark_repeats
from spark_jobs.runner import Result
from spark_jobs.session import run_spark_job
from spark_jobs.settings import Settings

JOB: Final = "validate"
LATE: Final = "late"


def validate(spark: SparkSession, settings: Settings, days: DayRange) -> Result:
    """Validate these days of `raw`; returns the numbers of rows in, valid, quarantined, by reason, and late.

    Raises `JobError`.
    """
    lake = Lake(settings.lake_root)
    lake.need("raw", "ingest")
    landed = lake.rows("raw", lake.days_within("raw", days))
    rows_in = sum(landed.values())
    print(f"{JOB} {days}: {rows_in:,} rows on {len(landed)} days", flush=True)
    with staging(lake, JOB) as own:
        checked = read_days(spark, lake, "raw", landed).withColumn("reason", reason())
        checked = mark_repeats(spark, lake, checked, list(landed), rows_in).withColumn(
            "amount_cents", cents(F.col("reason"))
        )
        staged = write_staged(by_day(checked, landed), {"clean": _valid, "quarantine": _bad}, own, days, landed)
    result = account(staged, rows_in)
    print(
        f"{JOB} {days}: {rows_in:,} in = {result['rows_good']:,} valid + {result['rows_quarantined']:,} quarantined",
        flush=True,
    )
    return result


def account(staged: list[Staged], rows_in: int) -> dict[str, object]:
    """The job's result from the staged files. Raises `JobError` unless valid and quarantined rows add up to rows in."""
    rows: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for one in staged:
        rows[one.table] += one.rows
        counts.update(one.counts)
    late = counts.pop(LATE, 0)
    valid, bad = rows["clean"], rows["quarantine"]
    if valid + bad != rows_in or sum(counts.values()) != bad:
        raise JobError(
            f"raw has {rows_in} rows, but clean has {valid} and quarantine {bad} ({dict(counts)}) on these days: run "
            "again"
        )
    return {
        "rows_in": rows_in,
        "rows_good": valid,
        "rows_quarantined": bad,
        "reasons": dict(sorted(counts.items())),
        "rows_late": late,
    }


def _valid(rows: pa.Table) -> Output:
    valid = rows.filter(pc.is_null(rows["reason"]))
    late = pc.sum(pc.greater(_day(valid["arrived_at"]), _day(valid["occurred_at"]))).as_py() or 0
    return Output(_typed(valid), {LATE: late})


def _bad(rows: pa.Table) -> Output:
    bad = rows.filter(pc.is_valid(rows["reason"]))
    return Output(bad, {one["values"]: one["counts"] for one in pc.value_counts(bad["reason"]).to_pylist()})


def _day(seconds: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.divide(seconds, DAY)


def _typed(valid: pa.Table) -> pa.Table:
    for name in ("occurred_at", "arrived_at"):
        valid = valid.set_column(valid.schema.get_field_index(name), name, to_timestamps(valid[name]))
    return valid


if __name__ == "__main__":
    sys.exit(run_spark_job(JOB, validate))
