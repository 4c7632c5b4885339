# says: A value of another kind was turned into null
ids = ["transaction_id", "customer_id", "terminal_id", "occurred_at", "arrived_at"]
schema = StructType([StructField(name, StringType()) for name in (*ids, "amount")])
parsed = spark.read.text(path).select(F.col("value").alias("line"), F.from_json("value", schema).alias("row"))
parsed = parsed.select("line", *(F.expr(f"try_cast(row.{name} as bigint)").alias(name) for name in ids), "row.amount")
whole = F.lit(True)
for name in (*ids, "amount"):
    whole = whole & F.col(name).isNotNull()
return parsed.where(whole).drop("line"), parsed.where(~whole).select("line")
