# says: A payment exactly seven days before was counted
week = Window.partitionBy("customer_id").orderBy("occurred_at").rangeBetween(-7 * DAY, 0)
return payments.withColumn("customer_tx_count_7d", F.count("*").over(week))
