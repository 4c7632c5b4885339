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
def offline(payments: DataFrame) -> DataFrame:
    """A self-join of the payments."""
    one, other = payments.alias("one"), payments.alias("other")
    same = (F.col("one.customer_id") == F.col("other.customer_id")) & (
        F.col("one.terminal_id") == F.col("other.terminal_id")
    )
    in_window = F.col("other.second") > F.col("one.second") - WINDOW
    before = F.struct("other.second", "other.transaction_id") <= F.struct("one.second", "one.transaction_id")
    pairs = one.join(other, same & in_window & before)
    return pairs.groupBy("one.transaction_id").agg(F.count("*").alias("customer_terminal_count_30d"))


def key_of(customer_id: int, terminal_id: int) -> str:
    """The key of a customer's payments at a terminal: a sorted set of ids by second."""
    return f"visits:{customer_id}:{terminal_id}"


def remember(payments: DataFrame, valkey: Valkey) -> None:
    """Add each payment to its sorted set."""
    pipe = valkey.pipeline(transaction=False)
    for row in payments.toLocalIterator():
        # Keyed by id: a repeated payment replaces itself.
        pipe.zadd(key_of(row.customer_id, row.terminal_id), {str(row.transaction_id): row.second})
        if len(pipe) >= 5_000:
            pipe.execute()
    pipe.execute()


def online(valkey: Valkey, payment: Payment) -> int:
    """Add the payment, and count those in its window up to its own position."""
    key = key_of(payment.customer_id, payment.terminal_id)
    valkey.zadd(key, {str(payment.transaction_id): payment.second})
    # "(" excludes the start of the window.
    found = valkey.zrangebyscore(key, f"({payment.second - WINDOW}", payment.second, withscores=True)
    position = (payment.second, payment.transaction_id)
    return sum((int(second), int(number)) <= position for number, second in found)


# --- your work: end
