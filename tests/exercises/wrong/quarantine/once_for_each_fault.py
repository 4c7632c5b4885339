# says: A row is in the quarantine once for each of its faults
clean, quarantine = raw, None
for name, holds in rules():
    holds = F.coalesce(holds, F.lit(False))
    clean = clean.where(holds)
    bad = raw.where(~holds).withColumn("reason", F.lit(name))
    quarantine = bad if quarantine is None else quarantine.union(bad)
return clean, quarantine
