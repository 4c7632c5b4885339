# says: but not with the line as it was
names = ["transaction_id", "customer_id", "terminal_id", "occurred_at", "arrived_at"]
schema = StructType(
    [*(StructField(name, LongType()) for name in names), StructField("amount", StringType()), StructField(CORRUPT, StringType())]
)
rows = spark.read.schema(schema).json(path).cache()
whole = F.col(CORRUPT).isNull()
for name in (*names, "amount"):
    whole = whole & F.col(name).isNotNull()
refused = rows.where(~whole)
return rows.where(whole).drop(CORRUPT), refused.select(F.to_json(F.struct(*names, "amount")).alias("line"))
