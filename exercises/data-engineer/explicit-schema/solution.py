"""Read a day of raw payments with an explicit schema."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StringType, StructField, StructType

CORRUPT = "_corrupt_record"
"""A text column of this name in a schema receives the whole line when a value does not match its type."""


def read_day(spark: SparkSession, path: str) -> tuple[DataFrame, DataFrame]:
    """The payments in a file of JSON lines, and the rejected lines.

    The payments have the columns transaction_id, customer_id, terminal_id (bigint), amount (text), occurred_at and
    arrived_at (bigint, seconds since 1970), none of them null. The rejected lines have one column, `line`.
    """
    # --- your work: begin
    seconds = ["occurred_at", "arrived_at"]
    ids = ["transaction_id", "customer_id", "terminal_id"]
    schema = StructType(
        [StructField(name, LongType()) for name in (*ids, *seconds)]
        + [StructField("amount", StringType()), StructField(CORRUPT, StringType())]
    )
    lines = spark.read.text(path).withColumnRenamed("value", "line")
    parsed = lines.select("line", F.from_json("line", schema).alias("row")).select("line", "row.*")
    whole = F.col(CORRUPT).isNull()
    for name in (*ids, "amount", *seconds):
        whole = whole & F.col(name).isNotNull()
    return parsed.where(whole).drop("line", CORRUPT), parsed.where(~whole).select("line")
    # --- your work: end
