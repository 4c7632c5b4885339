"""The lake's folders: where each day of each table is, and how many rows it has."""

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
    """The lake below `root`, an absolute folder."""

    root: Path

    def file(self, table: str, day: date) -> Path:
        """Where a day of a table is, whether it is there or not."""
        return self.root / table / f"{_PREFIX}{day}" / FILE

    def days(self, table: str) -> list[date]:
        """The days that a table has, in order."""
        found = (self.root / table).glob(f"{_PREFIX}????-??-??/{FILE}")
        return sorted(date.fromisoformat(path.parent.name.removeprefix(_PREFIX)) for path in found)

    def days_within(self, table: str, days: DayRange) -> list[date]:
        """The days of the range that a table has, in order."""
        return [day for day in self.days(table) if days.first <= day <= days.last]

    def need(self, table: str, job: str) -> None:
        """Raise `JobError` where a table that `job` writes is not there at all."""
        if not self.days(table):
            raise JobError(f"the lake has no {table} days in {self.root / table}: run {job} for these days first")

    def rows(self, table: str, days: Iterable[date]) -> dict[date, int]:
        """The rows of each of these days, from the files' own footers. Raises `JobError` for a damaged file."""
        return {day: rows_in(self.file(table, day)) for day in days}


def rows_in(path: Path) -> int:
    """The rows of one Parquet file, from its footer. Raises `JobError` where it cannot be read."""
    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowException) as error:
        raise JobError(
            f"{path} cannot be read as Parquet ({error}): remove it and run the job that wrote it again"
        ) from None


def read_days(spark: SparkSession, lake: Lake, table: str, days: Iterable[date]) -> DataFrame:
    """These days of a table, with their column `day`."""
    schema = with_day(TABLES[table])
    files = [str(lake.file(table, day)) for day in days]
    if not files:
        return spark.createDataFrame([], schema)
    return spark.read.schema(schema).option("basePath", str(lake.root / table)).parquet(*files)
