# says: A row that lacks a field is among the payments
names = ["transaction_id", "customer_id", "terminal_id", "occurred_at", "arrived_at"]
fields = [StructField(name, LongType(), nullable=False) for name in names]
schema = StructType([*fields, StructField("amount", StringType(), nullable=False), StructField(CORRUPT, StringType())])
rows = spark.read.schema(schema).json(path).cache()
payments = rows.where(F.col(CORRUPT).isNull()).drop(CORRUPT)
return payments, rows.where(F.col(CORRUPT).isNotNull()).select(F.col(CORRUPT).alias("line"))
