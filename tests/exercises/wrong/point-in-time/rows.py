# says: Payments older than seven days still count
week = Window.partitionBy("customer_id").orderBy("occurred_at", "transaction_id").rowsBetween(-6, 0)
return payments.withColumn("customer_tx_count_7d", F.count("*").over(week))
