# says: occurred_at is in seconds, and so is the range
week = Window.partitionBy("customer_id").orderBy("occurred_at").rangeBetween(-7, 0)
return payments.withColumn("customer_tx_count_7d", F.count("*").over(week))
