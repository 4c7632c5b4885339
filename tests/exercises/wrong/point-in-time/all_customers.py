# says: Payments of other customers were counted
so_far = F.row_number().over(Window.orderBy("occurred_at", "transaction_id"))
gone = F.count("*").over(Window.orderBy("occurred_at").rangeBetween(Window.unboundedPreceding, -7 * DAY))
return payments.withColumn("customer_tx_count_7d", so_far - gone)
