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
    raise NotImplementedError("your work goes here")
    # --- your work: end
