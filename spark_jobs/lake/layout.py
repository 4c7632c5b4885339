"""The lake's layout: the path of each table's days, and their number of rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from contracts.days import DayRange
from spark_jobs.errors import JobError
from spark_jobs.lake.schemas import TABLES, with_day

FILE = "part.parquet"
STAGING = "_staging"
_PREFIX = "day="


@dataclass(frozen=True)
class Lake:
    """The lake in the folder `root`, an absolute path."""

    root: Path

    def file(self, table: str, day: date) -> Path:
        """The path of a day of a table, whether it exists or not."""
        return self.root / table / f"{_PREFIX}{day}" / FILE

    def days(self, table: str) -> list[date]:
        """The days of a table, in order."""
        found = (self.root / table).glob(f"{_PREFIX}????-??-??/{FILE}")
        return sorted(date.fromisoformat(path.parent.name.removeprefix(_PREFIX)) for path in found)

    def days_within(self, table: str, days: DayRange) -> list[date]:
        """The days of a table within the range, in order."""
        return [day for day in self.days(table) if days.first <= day <= days.last]

    def need(self, table: str, job: str) -> None:
        """Raise `JobError` if the table, written by `job`, has no days at all."""
        if not self.days(table):
            raise JobError(f"the lake has no {table} days in {self.root / table}: run {job} for these days first")

    def rows(self, table: str, days: Iterable[date]) -> dict[date, int]:
        """The number of rows of each of these days, from the files' footers. Raises `JobError` for a damaged file."""
        return {day: rows_in(self.file(table, day)) for day in days}


def rows_in(path: Path) -> int:
    """The number of rows of a Parquet file, from its footer. Raises `JobError` if it cannot be read."""
    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowException) as error:
        raise JobError(
            f"{path} cannot be read as Parquet ({error}): remove it and rerun the job that wrote it"
        ) from None


def read_days(spark: SparkSession, lake: Lake, table: str, days: Iterable[date]) -> DataFrame:
    """These days of a table, with the column `day`."""
    schema = with_day(TABLES[table])
    files = [str(lake.file(table, day)) for day in days]
    if not files:
        return spark.createDataFrame([], schema)
    return spark.read.schema(schema).option("basePath", str(lake.root / table)).parquet(*files)
