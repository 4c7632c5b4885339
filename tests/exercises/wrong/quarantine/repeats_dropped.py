# says: Repeats are lost
judged = raw.withColumn(
    "reason", F.coalesce(*(F.when(~F.coalesce(holds, F.lit(False)), F.lit(name)) for name, holds in rules()))
)
return judged.where("reason is null").drop("reason").dropDuplicates(["transaction_id"]), judged.where("reason is not null")
