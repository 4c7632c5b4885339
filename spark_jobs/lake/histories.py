"""Histories for the jobs that need them: payments partitioned by entity, sorted, as NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from contracts.labels import DAY, NEVER
from spark_jobs.lake.layout import Lake, read_days
from spark_jobs.lake.staged_write import ROWS_PER_TASK

Ints = NDArray[np.int64]
Columns = dict[str, NDArray[np.int64]]


def read_payments(spark: SparkSession, lake: Lake, days: Iterable[date]) -> DataFrame:
    """These days of `clean` as five int64 columns, `occurred` in whole seconds since 1970."""
    seconds = F.unix_seconds("occurred_at").alias("occurred")
    return read_days(spark, lake, "clean", days).select(
        "transaction_id", "customer_id", "terminal_id", "amount_cents", seconds
    )


def with_reports(payments: DataFrame, spark: SparkSession, lake: Lake, last: date) -> DataFrame:
    """`payments` with `reported`: the second of the earliest report on the days up to `last`, `NEVER` without one."""
    days = [day for day in lake.days("reports") if day <= last]
    reports = read_days(spark, lake, "reports", days).where("reported_at >= timestamp '1970-01-01 00:00:00'")
    earliest = reports.groupBy("transaction_id").agg(F.unix_seconds(F.min("reported_at")).alias("earliest"))
    # There are few reports, so broadcast them instead of shuffling the payments.
    joined = payments.join(F.broadcast(earliest), "transaction_id", "left")
    return joined.withColumn("reported", F.coalesce("earliest", F.lit(NEVER))).drop("earliest")


def by_entity(frame: DataFrame, entity: str, rows: int) -> DataFrame:
    """Partition `frame`, of `rows` rows, by entity into tasks of about `ROWS_PER_TASK` rows."""
    return frame.repartition(max(2, -(-rows // ROWS_PER_TASK)), entity)


def sorted_history(batches: Iterable[pa.RecordBatch], entity: str) -> Columns | None:
    """A task's rows as arrays of one length, sorted by (entity, occurred, transaction_id); None without rows."""
    held = list(batches)
    if not held:
        return None
    rows = pa.Table.from_batches(held)
    held.clear()
    columns = {name: rows[name].to_numpy() for name in rows.schema.names}
    del rows
    order = np.lexsort((columns["transaction_id"], columns["occurred"], columns[entity]))
    for name in columns:
        columns[name] = columns[name][order]
    return columns


def slices(history: Columns, entity: str, start: int, reach_days: int) -> Iterator[tuple[Columns, Ints]]:
    """Parts of a sorted history with at most `ROWS_PER_TASK` rows from second `start` on, and these rows' indices.

    A part begins with the payments of its first entity that are within `reach_days` of its first row, so that features
    are the same as with the whole history.
    """
    wanted = np.flatnonzero(history["occurred"] >= start)
    for at in range(0, len(wanted), ROWS_PER_TASK):
        rows = wanted[at : at + ROWS_PER_TASK]
        first = _first_needed(history, entity, int(rows[0]), reach_days * DAY)
        yield {name: values[first : rows[-1] + 1] for name, values in history.items()}, rows - first


def _first_needed(history: Columns, entity: str, row: int, reach: int) -> int:
    first = int(np.searchsorted(history[entity][: row + 1], history[entity][row]))
    occurred = history["occurred"]
    return first + int(np.searchsorted(occurred[first:row], occurred[row] - reach, side="right"))


def to_batch(columns: Mapping[str, NDArray[np.generic]], names: Sequence[str]) -> pa.RecordBatch:
    """Arrays of one length as a record batch with the columns `names`, in this order."""
    return pa.RecordBatch.from_arrays([pa.array(columns[name]) for name in names], names=list(names))
