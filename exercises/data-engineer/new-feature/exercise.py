"""A new feature from the source to the online store: how often this customer has paid at this terminal lately.

For a payment at t: how many payments its customer made at its terminal in (t - 30 days, t], this one included; within
one second, a smaller transaction_id comes first. Write these three functions:

    offline(payments: DataFrame) -> DataFrame
        All payments (transaction_id, customer_id, terminal_id, second; seconds since 1970) at once, for training: a
        DataFrame with transaction_id and customer_terminal_count_30d.
    remember(payments: DataFrame, valkey: Valkey) -> None
        Store in Valkey what online needs about past payments. Running it again changes nothing.
    online(valkey: Valkey, payment: Payment) -> int
        The feature of one new payment, which counts from then on. The same call again returns the same value.
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
    """A new payment; `second` is seconds since 1970."""

    transaction_id: int
    customer_id: int
    terminal_id: int
    second: int


# --- your work: begin
raise NotImplementedError("your work goes here")
# --- your work: end
