"""The bank as a Spark data source: groups of days, read in parallel from one snapshot as Arrow batches."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition
from pyspark.sql.types import StructType

from contracts.transaction import TRANSACTION_FIELDS, FieldSpec
from spark_jobs.io.postgres import connect
from spark_jobs.lake.schemas import RAW, REPORTED, REPORTS_LANDED, arrow_schema, with_day
from spark_jobs.settings import BANK_READER, BANK_SECRET, Settings, read_secret

FOREVER = 2**53
"""Stands, with its sign, for an infinite instant: outside every valid range, and far from overflow."""

_SCHEMAS = {"transactions": with_day(RAW), "fraud_reports": with_day(REPORTS_LANDED)}


@dataclass(frozen=True)
class BankDays(InputPartition):
    """The days of one task, from `first` to `last` (YYYY-MM-DD), both included."""

    first: str
    last: str


class BankSource(DataSource):
    """Format `bank`; options `url`, `secrets_dir`, `snapshot`, `table` and `days`, a JSON list of [first, last]."""

    @classmethod
    def name(cls) -> str:
        """The name of the format."""
        return "bank"

    def schema(self) -> StructType:
        """The columns of the landing table and `day`."""
        return _SCHEMAS[self.options["table"]]

    def reader(self, schema: StructType) -> DataSourceReader:
        """A reader of the days in the options."""
        return BankReader(dict(self.options), schema)


@dataclass(frozen=True)
class BankReader(DataSourceReader):
    """Reads each group of days in its own task; `options` are the source's."""

    options: Mapping[str, str]
    columns: StructType

    def partitions(self) -> Sequence[InputPartition]:
        """One partition for each group of days."""
        return [BankDays(first, last) for first, last in json.loads(self.options["days"])]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """Yield the rows of these days with the schema `columns`. Raises `JobError` if the bank cannot be read."""
        assert isinstance(partition, BankDays)
        schema = arrow_schema(self.columns)
        password = read_secret(self.options["secrets_dir"], BANK_SECRET)
        with connect(self.options["url"], BANK_READER, password, "BANK_URL") as cursor:
            cursor.execute(f"set transaction snapshot '{self.options['snapshot']}'")
            cursor.execute(select_days(self.options["table"], partition))
            for batch in cursor.fetch_record_batch():
                yield pa.RecordBatch.from_arrays(batch.columns, names=schema.names).cast(schema)


def read_bank(
    spark: SparkSession, settings: Settings, snapshot: str, table: str, groups: Sequence[Sequence[date]]
) -> DataFrame:
    """These days of a landing table as of `snapshot`, with one task for each group."""
    spark.dataSource.register(BankSource)
    reader = spark.read.format("bank").option("url", settings.bank_url).option("table", table)
    reader = reader.option("secrets_dir", str(settings.secrets_dir.absolute())).option("snapshot", snapshot)
    return reader.option("days", json.dumps([[str(group[0]), str(group[-1])] for group in groups])).load()


def select_days(table: str, days: BankDays) -> str:
    """The query for one group of days."""
    columns = _PAYMENT_COLUMNS if table == "transactions" else _REPORT_COLUMNS
    return f"select {', '.join(columns)}, day from bank.{table} where day between '{days.first}' and '{days.last}'"


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
_REPORT_COLUMNS = tuple(map(_landed, REPORTED))
