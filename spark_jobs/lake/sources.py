"""The numbers of the bank's sources, as ingest last read them: they order rows with the same id and arrival.

A file for the whole lake rather than a column of `raw`, which keeps rows unmodified.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from contracts.durable import publish

FILE: Final = "sources.parquet"
COLUMNS: Final = "source string, source_number bigint"
_ARROW: Final = pa.schema([("source", pa.string()), ("source_number", pa.int64())])


def write_source_numbers(root: Path, numbers: Mapping[str, int]) -> None:
    """Replace the numbers in the lake in the folder `root`, atomically."""
    ordered = sorted(numbers.items())
    rows = pa.table([[source for source, _ in ordered], [number for _, number in ordered]], schema=_ARROW)
    root.mkdir(parents=True, exist_ok=True)
    fresh = root / f".{FILE}-{uuid4().hex}"
    try:
        pq.write_table(rows, fresh)
        publish(fresh, root / FILE)
    finally:
        fresh.unlink(missing_ok=True)


def read_source_numbers(spark: SparkSession, root: Path) -> DataFrame:
    """The numbers in the lake in the folder `root`, as `COLUMNS`; empty before the first ingest."""
    path = root / FILE
    return spark.read.schema(COLUMNS).parquet(str(path)) if path.exists() else spark.createDataFrame([], COLUMNS)
