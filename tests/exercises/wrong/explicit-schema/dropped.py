# says: A line is on neither side
names = ["transaction_id", "customer_id", "terminal_id", "occurred_at", "arrived_at"]
schema = StructType([*(StructField(name, LongType()) for name in names), StructField("amount", StringType())])
payments = spark.read.schema(schema).option("mode", "DROPMALFORMED").json(path).dropna()
return payments, spark.createDataFrame([], "line string")
