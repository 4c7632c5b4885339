"""The bank as a Spark frame: groups of days, read in parallel from one snapshot as Arrow batches.

Not a Python data source, which starts three more processes to plan the read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from contracts.transaction import TRANSACTION_FIELDS, FieldSpec
from spark_jobs.io.postgres import connect
from spark_jobs.lake.schemas import RAW, REPORTED, REPORTS_LANDED, UNKNOWN_LABELS, arrow_schema, with_day
from spark_jobs.settings import BANK_READER, BANK_SECRET, Settings, read_secret

FOREVER = 2**53
"""Stands, with its sign, for an infinite instant: outside every valid range, and far from overflow."""

DAY_OF: Final = {
    "transactions": "day",
    "fraud_reports": "day",
    "unknown_labels": "(arrived_at at time zone 'UTC')::date",
}
"""SQL for the lake's day of a row, by landing table."""
_SCHEMAS: Final = {
    "transactions": with_day(RAW),
    "fraud_reports": with_day(REPORTS_LANDED),
    "unknown_labels": with_day(UNKNOWN_LABELS),
}


@dataclass(frozen=True)
class BankDays:
    """The days of one task, from `first` to `last` (YYYY-MM-DD), both included."""

    first: str
    last: str


@dataclass(frozen=True)
class BankReader:
    """Reads groups of days of a landing table as of `snapshot`. It is sent to executors, so it holds no secret."""

    url: str
    secrets_dir: str
    snapshot: str
    table: str
    groups: Sequence[BankDays]

    def read_groups(self, numbers: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """In a task: yield the rows of the groups whose numbers are in the column `id`."""
        for batch in numbers:
            for number in batch["id"].to_pylist():
                yield from self.read(self.groups[number])

    def read(self, days: BankDays) -> Iterator[pa.RecordBatch]:
        """Yield the rows of these days and their `day`. Raises `JobError` if the bank cannot be read."""
        schema = arrow_schema(_SCHEMAS[self.table])
        password = read_secret(self.secrets_dir, BANK_SECRET)
        with connect(self.url, BANK_READER, password, "BANK_URL") as cursor:
            cursor.execute(f"set transaction snapshot '{self.snapshot}'")
            cursor.execute(select_days(self.table, days))
            for batch in cursor.fetch_record_batch():
                yield pa.RecordBatch.from_arrays(batch.columns, names=schema.names).cast(schema)


def read_bank(
    spark: SparkSession, settings: Settings, snapshot: str, table: str, groups: Sequence[Sequence[date]]
) -> DataFrame:
    """These days of a landing table as of `snapshot`, with one task for each group."""
    days = [BankDays(str(group[0]), str(group[-1])) for group in groups]
    reader = BankReader(settings.bank_url, str(settings.secrets_dir.absolute()), snapshot, table, days)
    tasks = spark.range(0, len(days), numPartitions=len(days))
    return tasks.mapInArrow(reader.read_groups, _SCHEMAS[table])


def select_days(table: str, days: BankDays) -> str:
    """The query for one group of days."""
    columns, day = _COLUMNS[table], DAY_OF[table]
    return f"select {', '.join(columns)}, {day} from bank.{table} where {day} between '{days.first}' and '{days.last}'"


def _seconds(column: str) -> str:
    """SQL for an instant's whole seconds since 1970, fractions truncated; null stays null."""
    return (
        f"case when isfinite({column}) then floor(extract(epoch from {column}))::bigint "
        f"when {column} > 'epoch' then {FOREVER} when {column} < 'epoch' then -{FOREVER} end"
    )


def _landed(spec: FieldSpec) -> str:
    if spec.kind == "instant":
        return _seconds(spec.name)
    return f"{spec.name}::text" if spec.kind == "amount" else spec.name


_PAYMENT_COLUMNS = (
    "source",
    "source_row",
    *map(_landed, TRANSACTION_FIELDS),
    "coalesce(occurred_at <> date_trunc('second', occurred_at), false)",
    _seconds("arrived_at"),
)
_COLUMNS: Final = {
    "transactions": _PAYMENT_COLUMNS,
    "fraud_reports": tuple(map(_landed, REPORTED)),
    "unknown_labels": ("transaction_id",),
}
