# says: A row is on neither side
good = F.lit(True)
for _, holds in rules():
    good = good & holds
broken = F.coalesce(*(F.when(~holds, F.lit(name)) for name, holds in rules()))
return raw.where(good), raw.where(~good).withColumn("reason", broken)
