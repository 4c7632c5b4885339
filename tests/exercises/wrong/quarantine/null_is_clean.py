# says: A row with a missing value is among the clean ones
judged = raw.withColumn("reason", F.coalesce(*(F.when(~holds, F.lit(name)) for name, holds in rules())))
return judged.where("reason is null").drop("reason"), judged.where("reason is not null")
