-- Note who recovers the state; only the one that came last can finish. A state without a stamp has lost its data.
-- KEYS stamp; ARGV a unique token -> 1, or 0 if there is no stamp.
if redis.call('HEXISTS', KEYS[1], 'state_format') == 0 then return 0 end
redis.call('HSET', KEYS[1], REPAIRED_BY, ARGV[1])
return 1
