"""A small Spark job, run once by spark-submit to record the classes that the JVM loads.

`make` stores them as a class-data archive, with which later jobs start in about half the time.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F


def _same(batches: Iterator[Any]) -> Iterator[Any]:
    yield from batches


def main(folder: Path) -> None:
    """Write, read, sort, group, join and map a few rows below `folder`."""
    spark = SparkSession.builder.config("spark.ui.enabled", "false").getOrCreate()
    rows = spark.range(1_000).withColumn("day", F.to_date(F.timestamp_seconds(F.col("id") * 1_000)))
    rows.write.mode("overwrite").parquet(str(folder / "rows"))
    back = spark.read.schema(rows.schema).parquet(str(folder / "rows"))
    ordered = back.repartition(2, "day").sortWithinPartitions("day", "id").mapInArrow(_same, back.schema)
    ordered.join(F.broadcast(back.groupBy("day").count()), "day", "left").collect()
    spark.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
