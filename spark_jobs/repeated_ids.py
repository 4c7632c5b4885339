"""Repeated transaction ids: among several otherwise valid rows, over all days, the first is kept.

Which one is the first: `contracts/repeated_ids.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from contracts.repeated_ids import ORDER
from spark_jobs.lake.layout import Lake, read_days
from spark_jobs.lake.sources import read_source_numbers
from spark_jobs.quarantine_reasons import REPEATED, reason

BROADCAST_ROWS: Final = 300_000
"""The most keys that a join broadcasts to every task instead of shuffling both sides."""

ROW_KEY: Final = ("source", "source_row")


def mark_repeats(spark: SparkSession, lake: Lake, checked: DataFrame, days: Sequence[date], rows: int) -> DataFrame:
    """Add the reason `REPEATED` to rows whose id an earlier row has; `checked` are the rows of `raw` with `reason`.

    All days of `raw` are read, so the result for a day does not depend on which days are validated, or when.
    """
    valid = _valid_everywhere(spark, lake)
    if rows <= BROADCAST_ROWS and len(days) < len(lake.days("raw")):
        ids = checked.where(F.col("reason").isNull()).select("transaction_id")
        valid = valid.join(F.broadcast(ids), "transaction_id", "left_semi")
    repeated = valid.groupBy("transaction_id").count().where("count > 1").select("transaction_id").persist()
    found = repeated.count()
    if found == 0:
        return checked
    later = _later_rows(valid, _hinted(repeated, found), read_source_numbers(spark, lake.root))
    later = later.where(F.col("day").isin(list(days))).select(*ROW_KEY, F.lit(REPEATED).alias("repeated"))
    marked = checked.join(_hinted(later, found), list(ROW_KEY), "left")
    return marked.withColumn("reason", F.coalesce("reason", "repeated")).drop("repeated")


def _valid_everywhere(spark: SparkSession, lake: Lake) -> DataFrame:
    raw = read_days(spark, lake, "raw", lake.days("raw"))
    return raw.where(reason().isNull()).select("transaction_id", "arrived_at", *ROW_KEY, "day")


def _later_rows(valid: DataFrame, repeated: DataFrame, numbers: DataFrame) -> DataFrame:
    in_order = Window.partitionBy("transaction_id").orderBy(*(F.col(name).asc_nulls_last() for name in ORDER))
    rows = valid.join(repeated, "transaction_id", "left_semi").join(F.broadcast(numbers), "source", "left")
    return rows.withColumn("n", F.row_number().over(in_order)).where("n > 1")


def _hinted(keys: DataFrame, about: int) -> DataFrame:
    return F.broadcast(keys) if about <= BROADCAST_ROWS else keys
