"""Split raw payments into clean ones and a quarantine, with no row lost or duplicated."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

REPEATED = "transaction_id_repeated"


def rules() -> list[tuple[str, Column]]:
    """Each field, in order, and the condition that it meets in a valid payment.

    If the field is missing, the condition is null, neither true nor false.
    """
    ids = [(name, F.col(name) >= 0) for name in ("transaction_id", "customer_id", "terminal_id")]
    amount = F.expr("try_cast(amount as decimal(38, 2))")
    return [*ids, ("amount", amount.between(0, 1_000_000)), ("occurred_at", F.col("occurred_at") >= 0)]


def split(raw: DataFrame) -> tuple[DataFrame, DataFrame]:
    """The clean rows of `raw` (its columns), and the others (its columns and `reason`, text).

    The reason is the first field whose rule does not hold; of valid rows with the same transaction_id, the
    first by (arrived_at, source, source_row) is clean, and the others have the reason `REPEATED`.
    """
    # --- your work: begin
    broken = [F.when(~F.coalesce(holds, F.lit(False)), F.lit(name)) for name, holds in rules()]
    judged = raw.withColumn("reason", F.coalesce(*broken))
    no_reason = F.col("reason").isNull()
    # Number valid and invalid rows separately, so that an invalid row does not take a valid one's id.
    by_arrival = Window.partitionBy("transaction_id", no_reason).orderBy("arrived_at", "source", "source_row")
    judged = judged.withColumn("n", F.row_number().over(by_arrival))
    judged = judged.withColumn("reason", F.when(no_reason & (F.col("n") > 1), REPEATED).otherwise(F.col("reason")))
    return judged.where(no_reason).drop("n", "reason"), judged.where(~no_reason).drop("n")
    # --- your work: end
