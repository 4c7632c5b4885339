# says: of two payments in the same second one comes after the other
def offline(payments):
    from pyspark.sql import Window
    w = Window.partitionBy("customer_id", "terminal_id").orderBy("second").rangeBetween(-WINDOW + 1, 0)
    return payments.select("transaction_id", F.count("*").over(w).alias("customer_terminal_count_30d"))
def remember(payments, valkey): pass
def online(valkey, payment): return 1
