# says: All payments of the same second see each other
week = Window.partitionBy("customer_id").orderBy("occurred_at").rangeBetween(-7 * DAY + 1, 0)
return payments.withColumn("customer_tx_count_7d", F.count("*").over(week))
