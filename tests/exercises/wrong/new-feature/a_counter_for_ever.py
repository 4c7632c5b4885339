# says: what is older than thirty days does not count any more
def offline(payments):
    one, other = payments.alias("one"), payments.alias("other")
    same = (F.col("one.customer_id") == F.col("other.customer_id")) & (F.col("one.terminal_id") == F.col("other.terminal_id"))
    pairs = one.join(other, same & (F.col("other.second") > F.col("one.second") - WINDOW) & (F.struct("other.second", "other.transaction_id") <= F.struct("one.second", "one.transaction_id")))
    return pairs.groupBy("one.transaction_id").agg(F.count("*").alias("customer_terminal_count_30d"))
def remember(payments, valkey):
    for row in payments.limit(100).collect():
        valkey.incr(f"v:{row.customer_id}:{row.terminal_id}")
def online(valkey, payment):
    return valkey.incr(f"v:{payment.customer_id}:{payment.terminal_id}")
