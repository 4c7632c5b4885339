"""Build features: apply the contract's kernel to whole sorted partitions, point-in-time for each payment.

Spark shuffles the payments twice, five columns by customer and four by terminal. Each task writes the features of its
customers or terminals as blocks (`lake/blocks.py`); then each group of days is put together from its blocks and
written. So no feature passes through the JVM, and no two large tables are joined.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from contracts.days import DayRange
from contracts.features import (
    CUSTOMER_FEATURES,
    CUSTOMER_HORIZON_DAYS,
    TERMINAL_FEATURES,
    TERMINAL_HORIZON_DAYS,
    customer_features,
    payment_features,
    terminal_features,
)
from contracts.labels import DAY
from contracts.zones import Zone
from spark_jobs.lake.blocks import BLOCKS, BlockFile, DayGroups, read_group, write_blocks
from spark_jobs.lake.histories import by_entity, read_payments, slices, sorted_history, to_batch
from spark_jobs.lake.layout import Lake
from spark_jobs.lake.reports import with_reported, write_earliest_reports
from spark_jobs.lake.staged_write import (
    ROW_GROUP,
    Staged,
    Staging,
    collect_staged,
    split_days,
    stage_sorted,
    staging,
)
from spark_jobs.lake.timestamps import to_timestamps
from spark_jobs.lake.zones import note_on_other_zones
from spark_jobs.runner import Result
from spark_jobs.session import run_spark_job
from spark_jobs.settings import Settings

JOB: Final = "build_features"
HORIZON_DAYS: Final = max(CUSTOMER_HORIZON_DAYS, TERMINAL_HORIZON_DAYS)
CUSTOMER: Final = "customer_id"
TERMINAL: Final = "terminal_id"
CUSTOMER_COLUMNS: Final = ("transaction_id", "customer_id", "terminal_id", "amount_cents", "occurred")
TERMINAL_COLUMNS: Final = ("transaction_id", "terminal_id", "amount_cents", "occurred")
Batches = Iterator[pa.RecordBatch]
Pass = Callable[[Batches], Batches]


@dataclass(frozen=True)
class Blocks:
    """The files with the features of all customers, and those of all terminals."""

    customers: Sequence[BlockFile]
    terminals: Sequence[BlockFile]


def build_features(spark: SparkSession, settings: Settings, days: DayRange) -> Result:
    """Write the features of these days' clean payments; returns rows in and rows out. Raises `JobError`."""
    lake = Lake(settings.lake_root)
    lake.need("clean", "validate")
    wanted = lake.rows("clean", lake.days_within("clean", days))
    history = lake.rows("clean", lake.days_within("clean", days.reaching_back(HORIZON_DAYS)))
    rows_in, rows_read = sum(wanted.values()), sum(history.values())
    print(f"{JOB} {days}: {rows_in:,} payments, and {rows_read - rows_in:,} earlier ones as history", flush=True)
    with staging(lake, JOB) as own:
        staged = _stage(spark, own, days, wanted, history, settings.zone) if rows_in else []
        own.publish(staged, ["features"], days, wanted)
    rows_out = sum(one.rows for one in staged)
    print(f"{JOB} {days}: wrote {rows_out:,} rows to {lake.root / 'features'}", flush=True)
    if note := note_on_other_zones(lake, days, settings.zone.id):
        print(f"{JOB} {days}: {note}", flush=True)
    return {"rows_in": rows_in, "rows_out": rows_out}


def _stage(
    spark: SparkSession,
    own: Staging,
    days: DayRange,
    wanted: Mapping[date, int],
    history: Mapping[date, int],
    zone: Zone,
) -> list[Staged]:
    groups = split_days(wanted)
    blocks = _compute(read_payments(spark, own.lake, history), own, days, sum(history.values()), DayGroups.of(groups))
    tasks = spark.range(0, len(groups), numPartitions=len(groups))
    return collect_staged(tasks, group_writer(blocks, str(own.folder), zone))


def _compute(payments: DataFrame, own: Staging, days: DayRange, rows: int, groups: DayGroups) -> Blocks:
    """Write the features of each customer and of each terminal, in one Spark job."""
    start, folder = days.start_second, str(own.folder)
    reports = write_earliest_reports(own.lake, days.last, own.folder)

    def customers(batches: Batches) -> Batches:
        yield from write_blocks(customer_pass(start)(batches), folder, CUSTOMER, groups)

    def terminals(batches: Batches) -> Batches:
        yield from write_blocks(terminal_pass(start)(with_reported(batches, reports)), folder, TERMINAL, groups)

    by_customer = by_entity(payments.select(*CUSTOMER_COLUMNS), CUSTOMER, rows).mapInArrow(customers, BLOCKS)
    by_terminal = by_entity(payments.select(*TERMINAL_COLUMNS), TERMINAL, rows).mapInArrow(terminals, BLOCKS)
    # One job, so that tasks of both run whenever a core is free.
    files: dict[str, list[BlockFile]] = {CUSTOMER: [], TERMINAL: []}
    for row in by_customer.union(by_terminal).collect():
        files[row["entity"]].append(BlockFile(row["path"], row["groups"]))
    return Blocks(files[CUSTOMER], files[TERMINAL])


def customer_pass(start: int) -> Pass:
    """A task that turns rows of whole customers into rows from second `start` on with `CUSTOMER_FEATURES`."""

    def run(batches: Batches) -> Batches:
        history = sorted_history(batches, CUSTOMER)
        if history is None:
            return
        for part, rows in slices(history, CUSTOMER, start, CUSTOMER_HORIZON_DAYS):
            found = customer_features(part[CUSTOMER], part["occurred"], part["amount_cents"], rows)
            payments = {name: part[name][rows] for name in CUSTOMER_COLUMNS}
            yield to_batch({**payments, **found}, (*CUSTOMER_COLUMNS, *CUSTOMER_FEATURES))

    return run


def terminal_pass(start: int) -> Pass:
    """A task that turns rows of whole terminals into rows from second `start` on with `TERMINAL_FEATURES`.

    The rows have the column `reported` too.
    """
    names = ("transaction_id", "occurred")

    def run(batches: Batches) -> Batches:
        history = sorted_history(batches, TERMINAL)
        if history is None:
            return
        for part, rows in slices(history, TERMINAL, start, TERMINAL_HORIZON_DAYS):
            found = terminal_features(part[TERMINAL], part["occurred"], part["amount_cents"], part["reported"], rows)
            yield to_batch({**{name: part[name][rows] for name in names}, **found}, (*names, *TERMINAL_FEATURES))

    return run


def group_writer(blocks: Blocks, folder: str, zone: Zone) -> Pass:
    """A task that stages the days of the groups whose numbers are in the column `id`.

    Night and weekend are in `zone`, which is sent to the executors with its table.
    """

    def run(batches: Batches) -> Batches:
        for batch in batches:
            for group in batch["id"].to_pylist():
                yield from stage_sorted(whole_rows(blocks, group, zone), "features", folder, None, zone.id.fields())

    return run


def whole_rows(blocks: Blocks, group: int, zone: Zone, rows_at_once: int = ROW_GROUP) -> Iterator[pa.Table]:
    """A group's payments with all features and `day`, in order, in parts. Raises ValueError if a payment is missing."""
    customers = read_group(blocks.customers, group, rows_at_once)
    terminals = read_group(blocks.terminals, group, rows_at_once)
    for columns, others in zip(customers, terminals, strict=True):
        if not np.array_equal(columns["transaction_id"], others["transaction_id"]):
            raise ValueError(f"the blocks of customers and of terminals have other payments in group {group}")
        occurred, cents = columns.pop("occurred"), columns.pop("amount_cents")
        rows = pa.table({**others, **columns, **payment_features(occurred, cents, zone)}).drop_columns("occurred")
        days = pa.array(occurred // DAY).cast(pa.int32()).cast(pa.date32())
        yield rows.append_column("day", days).append_column("occurred_at", to_timestamps(pa.chunked_array([occurred])))


if __name__ == "__main__":
    sys.exit(run_spark_job(JOB, build_features))
