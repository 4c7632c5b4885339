-- Note that the state has every recorded decision and report.
-- KEYS stamp; ARGV the token of the recovery, the run of the server, and a unique name, or '' to keep the current one.
-- -> 1, or 0 with nothing changed, if the state was lost or another scorer began to recover it since.
if redis.call('HGET', KEYS[1], REPAIRED_BY) ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], REPAIRED_BY, APPLIED_BEFORE_RECOVERY)
redis.call('HSET', KEYS[1], RECOVERED_RUN, ARGV[2])
if ARGV[3] ~= '' then redis.call('HSET', KEYS[1], RECONCILED, ARGV[3]) end
return 1
