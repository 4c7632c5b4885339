# says: Every row of a repeated id is in the quarantine
broken = [F.when(~F.coalesce(holds, F.lit(False)), F.lit(name)) for name, holds in rules()]
judged = raw.withColumn("reason", F.coalesce(*broken))
good = F.col("reason").isNull()
same = F.count("*").over(Window.partitionBy("transaction_id", good))
judged = judged.withColumn("same", same)
judged = judged.withColumn("reason", F.when(good & (F.col("same") > 1), REPEATED).otherwise(F.col("reason"))).drop("same")
return judged.where("reason is null").drop("reason"), judged.where("reason is not null")
