"""Count each customer's payments of the last seven days, as of each payment's own position in time."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

DAY = 86_400
"""Seconds."""


def count_week(payments: DataFrame) -> DataFrame:
    """`payments` (transaction_id, customer_id, occurred_at in seconds since 1970) with `customer_tx_count_7d`.

    For a payment at t: how many payments its customer made in (t - 7 days, t], up to and including this one; within
    one second, a smaller transaction_id comes first.
    """
    # --- your work: begin
    customer = Window.partitionBy("customer_id")
    so_far = F.row_number().over(customer.orderBy("occurred_at", "transaction_id"))
    # A range uses the unit of the order column, here seconds; exactly -7 days is outside the window.
    gone = F.count("*").over(customer.orderBy("occurred_at").rangeBetween(Window.unboundedPreceding, -7 * DAY))
    return payments.withColumn("customer_tx_count_7d", so_far - gone)
    # --- your work: end
