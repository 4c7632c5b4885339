"""A new feature from the source to the online state: how often this customer has paid at this terminal lately.

Of a payment at t: how many payments its customer made at its terminal in (t - 30 days, t], this one included; in the
same second, those with a smaller transaction_id come before it. Write these three functions:

    offline(payments: DataFrame) -> DataFrame
        All payments (transaction_id, customer_id, terminal_id, second; seconds since 1970) at once, for training: a
        DataFrame with transaction_id and customer_terminal_count_30d.
    remember(payments: DataFrame, valkey: Valkey) -> None
        Put what online needs of past payments into Valkey. Run again, it changes nothing.
    online(valkey: Valkey, payment: Payment) -> int
        The feature of one payment that has just come, and from now on it counts too. Asked again, the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from valkey import Valkey

WINDOW = 30 * 86_400
"""Seconds."""


@dataclass(frozen=True)
class Payment:
    """A payment that has just come; `second` is seconds since 1970."""

    transaction_id: int
    customer_id: int
    terminal_id: int
    second: int


# --- your work: begin
raise NotImplementedError("your work goes here")
# --- your work: end
