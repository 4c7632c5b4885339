"""Build features: apply the contract's kernel to whole sorted partitions, point-in-time for each payment.

Three shuffles and no join of two large tables: by customer, then by terminal together with the customer features, then
by day for writing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, LongType, StructField, StructType

from contracts.days import DayRange
from contracts.features import (
    CUSTOMER_FEATURES,
    CUSTOMER_HORIZON_DAYS,
    FEATURES,
    TERMINAL_HORIZON_DAYS,
    customer_features,
    payment_features,
    terminal_features,
)
from contracts.zones import UTC, Zone
from spark_jobs.lake.histories import by_entity, read_payments, sorted_history, to_batches, with_reports
from spark_jobs.lake.layout import Lake
from spark_jobs.lake.staged_write import Output, by_day, staging, write_staged
from spark_jobs.lake.timestamps import to_timestamps
from spark_jobs.lake.zones import note_on_other_zones
from spark_jobs.runner import Result
from spark_jobs.session import run_spark_job
from spark_jobs.settings import Settings

JOB: Final = "build_features"
HORIZON_DAYS: Final = max(CUSTOMER_HORIZON_DAYS, TERMINAL_HORIZON_DAYS)
PAYMENT: Final = ("transaction_id", "customer_id", "terminal_id", "amount_cents", "occurred")
PUBLISHED: Final = ("transaction_id", "customer_id", "terminal_id", "occurred", *FEATURES)
Batches = Iterator[pa.RecordBatch]
Pass = Callable[[Batches], Batches]


def build_features(spark: SparkSession, settings: Settings, days: DayRange) -> Result:
    """Write the features of these days' clean payments; returns rows in and rows out. Raises `JobError`."""
    lake = Lake(settings.lake_root)
    lake.need("clean", "validate")
    wanted = lake.rows("clean", lake.days_within("clean", days))
    history = lake.rows("clean", lake.days_within("clean", days.reaching_back(HORIZON_DAYS)))
    rows_in, rows_read = sum(wanted.values()), sum(history.values())
    print(f"{JOB} {days}: {rows_in:,} payments, and {rows_read - rows_in:,} earlier ones as history", flush=True)
    with staging(lake, JOB) as own:
        payments = read_payments(spark, lake, history)
        featured = _customer_pass(payments, days, rows_read)
        featured = _terminal_pass(with_reports(featured, spark, lake, days.last), days, rows_read, settings.zone)
        featured = by_day(featured.withColumn("day", F.to_date(F.timestamp_seconds("occurred"))), wanted)
        staged = write_staged(featured, {"features": partial(_output, settings.zone)}, own, days, wanted)
    rows_out = sum(one.rows for one in staged)
    print(f"{JOB} {days}: wrote {rows_out:,} rows to {lake.root / 'features'}", flush=True)
    if note := note_on_other_zones(lake, days, settings.zone.id):
        print(f"{JOB} {days}: {note}", flush=True)
    return {"rows_in": rows_in, "rows_out": rows_out}


def _customer_pass(payments: DataFrame, days: DayRange, rows: int) -> DataFrame:
    """Payments with `CUSTOMER_FEATURES`; 0 for those before `days`, of which the terminal pass needs only the row."""
    columns = (*PAYMENT, *CUSTOMER_FEATURES)
    return by_entity(payments, "customer_id", rows).mapInArrow(customer_pass(days.start_second), _schema(columns))


def _terminal_pass(payments: DataFrame, days: DayRange, rows: int, zone: Zone) -> DataFrame:
    """The payments of `days` with all `FEATURES`."""
    task = terminal_pass(days.start_second, zone)
    return by_entity(payments, "terminal_id", rows).mapInArrow(task, _schema(PUBLISHED))


def customer_pass(start: int) -> Pass:
    """A task that adds `CUSTOMER_FEATURES`, computed from second `start` on, to the rows of whole customers."""

    def run(batches: Batches) -> Batches:
        history = sorted_history(batches, "customer_id")
        if history is None:
            return
        occurred = history["occurred"]
        wanted = np.flatnonzero(occurred >= start)
        found = customer_features(history["customer_id"], occurred, history["amount_cents"], wanted)
        columns: dict[str, np.ndarray] = dict(history)
        for name, values in found.items():
            columns[name] = np.zeros(len(occurred))
            columns[name][wanted] = values
        yield from to_batches(columns, (*PAYMENT, *CUSTOMER_FEATURES))

    return run


def terminal_pass(start: int, zone: Zone = UTC) -> Pass:
    """A task that turns rows of whole terminals into `PUBLISHED` for the rows from second `start` on.

    Night and weekend are in `zone`, which is sent to the executors with its table.
    """

    def run(batches: Batches) -> Batches:
        history = sorted_history(batches, "terminal_id")
        if history is None:
            return
        wanted = np.flatnonzero(history["occurred"] >= start)
        found = terminal_features(
            history["terminal_id"], history["occurred"], history["amount_cents"], history.pop("reported"), wanted
        )
        columns: dict[str, np.ndarray] = {name: values[wanted] for name, values in history.items()}
        del history
        found.update(payment_features(columns["occurred"], columns["amount_cents"], zone))
        yield from to_batches({**columns, **found}, PUBLISHED)

    return run


def _output(zone: Zone, rows: pa.Table) -> Output:
    return Output(rows.append_column("occurred_at", to_timestamps(rows["occurred"])), metadata=zone.id.fields())


def _schema(columns: tuple[str, ...]) -> StructType:
    ints = (*PAYMENT, "reported")
    return StructType([StructField(name, LongType() if name in ints else DoubleType()) for name in columns])


if __name__ == "__main__":
    sys.exit(run_spark_job(JOB, build_features))
