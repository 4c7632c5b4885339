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
    raise NotImplementedError("your work goes here")
    # --- your work: end
