"""A small Spark job, run once by spark-submit to record the classes that the JVM loads.

`make` stores them as a class-data archive, with which later jobs start in about half the time.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F


def _same(batches: Iterator[Any]) -> Iterator[Any]:
    yield from batches


def _counted(batches: Iterator[Any]) -> Iterator[Any]:
    yield pa.RecordBatch.from_pydict({"rows": pa.array([sum(batch.num_rows for batch in batches)], pa.int64())})


def main(folder: Path) -> None:
    """Write, read, check, sort, group, join and map a few rows under `folder`."""
    spark = SparkSession.builder.config("spark.ui.enabled", "false").getOrCreate()
    rows = spark.range(1_000).withColumn("day", F.to_date(F.timestamp_seconds(F.col("id") * 1_000)))
    rows.write.mode("overwrite").parquet(str(folder / "rows"))
    back = spark.read.schema(rows.schema).parquet(str(folder / "rows"))
    ordered = back.repartition(2, "day").sortWithinPartitions("day", "id").mapInArrow(_same, back.schema)
    ordered.join(F.broadcast(back.groupBy("day").count()), "day", "left").collect()
    spark.range(0, 2, numPartitions=2).mapInArrow(_counted, "rows long").collect()
    _checked(back).mapInArrow(_counted, "rows long").collect()
    spark.stop()


def _checked(rows: DataFrame) -> DataFrame:
    """Rules, repeats and whole days in one task, as validation has them."""
    text = F.col("id").cast("string")
    amount = F.expr("try_cast(text as decimal(38, 2))")
    broken = F.coalesce(F.when(~text.rlike("^[0-9]+$"), "odd"), F.when((amount < 0) | amount.isNull(), "negative"))
    judged = rows.withColumn("text", text).withColumn("reason", broken)
    keyed = judged.where("reason is null and day >= date '1970-01-01'").select((F.col("id") % 900).alias("key"), "id")
    repeated = keyed.groupBy("key").count().where("count > 1").select("key").persist()
    repeated.count()
    numbered = keyed.join(F.broadcast(repeated), "key", "left_semi")
    numbered = numbered.withColumn("n", F.row_number().over(Window.partitionBy("key").orderBy("id"))).where("n > 1")
    later = numbered.select("id", F.lit("repeated").alias("later"))
    marked = judged.join(F.broadcast(later), "id", "left").withColumn("reason", F.coalesce("reason", "later"))
    place = F.date_diff(F.col("day"), F.lit("1970-01-01").cast("date")) % 2 + 1
    placed = marked.repartitionById(2, F.element_at(F.lit([0, 1]), place))
    return placed.select("id", F.unix_seconds(F.timestamp_seconds("id")).alias("second"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
