# says: it counts too many
import json


def offline(payments):
    one, other = payments.alias("one"), payments.alias("other")
    same = (F.col("one.customer_id") == F.col("other.customer_id")) & (F.col("one.terminal_id") == F.col("other.terminal_id"))
    in_window = F.col("other.second") > F.col("one.second") - WINDOW
    before = F.struct("other.second", "other.transaction_id") <= F.struct("one.second", "one.transaction_id")
    pairs = one.join(other, same & in_window & before)
    return pairs.groupBy("one.transaction_id").agg(F.count("*").alias("customer_terminal_count_30d"))


def key_of(payment):
    return f"{payment.customer_id}:{payment.terminal_id}"


def remember(payments, valkey):
    pipe = valkey.pipeline(transaction=False)
    for row in payments.toLocalIterator():
        pipe.rpush(key_of(row), json.dumps([row.second, row.transaction_id]))
    pipe.execute()


def online(valkey, payment):
    place = [payment.second, payment.transaction_id]
    known = [json.loads(item) for item in valkey.lrange(key_of(payment), 0, -1)]
    if place not in known:
        valkey.rpush(key_of(payment), json.dumps(place))
        known.append(place)
    return sum(payment.second - WINDOW < one[0] and one <= place for one in known)
