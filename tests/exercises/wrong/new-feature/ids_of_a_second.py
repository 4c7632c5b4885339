# says: which had not come when this one was answered first
def offline(payments: DataFrame) -> DataFrame:
    """By a join of the payments with themselves."""
    one, other = payments.alias("one"), payments.alias("other")
    same = (F.col("one.customer_id") == F.col("other.customer_id")) & (
        F.col("one.terminal_id") == F.col("other.terminal_id")
    )
    in_window = F.col("other.second") > F.col("one.second") - WINDOW
    before = F.struct("other.second", "other.transaction_id") <= F.struct("one.second", "one.transaction_id")
    pairs = one.join(other, same & in_window & before)
    return pairs.groupBy("one.transaction_id").agg(F.count("*").alias("customer_terminal_count_30d"))


def key_of(customer_id: int, terminal_id: int) -> str:
    """Where a customer's payments at a terminal are: a sorted set, ids by second."""
    return f"visits:{customer_id}:{terminal_id}"


def remember(payments: DataFrame, valkey: Valkey) -> None:
    """Each payment under its key."""
    pipe = valkey.pipeline(transaction=False)
    for row in payments.toLocalIterator():
        # A set of ids: the same payment again takes its own place.
        pipe.zadd(key_of(row.customer_id, row.terminal_id), {str(row.transaction_id): row.second})
        if len(pipe) >= 5_000:
            pipe.execute()
    pipe.execute()


def online(valkey: Valkey, payment: Payment) -> int:
    """Add it, and count what its window holds up to its own place."""
    key = key_of(payment.customer_id, payment.terminal_id)
    valkey.zadd(key, {str(payment.transaction_id): payment.second})
    # "(" leaves the window's first second out.
    return len(valkey.zrangebyscore(key, f"({payment.second - WINDOW}", payment.second))
