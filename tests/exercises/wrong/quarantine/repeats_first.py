# says: The good row was taken for a repeat of the bad one
by_arrival = Window.partitionBy("transaction_id").orderBy("arrived_at", "source", "source_row")
broken = [F.when(~F.coalesce(holds, F.lit(False)), F.lit(name)) for name, holds in rules()]
repeated = F.when(F.row_number().over(by_arrival) > 1, F.lit(REPEATED))
judged = raw.withColumn("repeated", repeated).withColumn("reason", F.coalesce(*broken, "repeated")).drop("repeated")
return judged.where("reason is null").drop("reason"), judged.where("reason is not null")
