# says: The type of a column came from the data
lines = spark.read.text(path).withColumnRenamed("value", "line")
payments = spark.read.json(path)
return payments.select("transaction_id", "customer_id", "terminal_id", "amount", "occurred_at", "arrived_at"), lines.limit(0)
