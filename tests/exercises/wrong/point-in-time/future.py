# says: Payments that come later were counted
week = Window.partitionBy("customer_id").orderBy("occurred_at").rangeBetween(-7 * DAY + 1, 7 * DAY - 1)
return payments.withColumn("customer_tx_count_7d", F.count("*").over(week))
