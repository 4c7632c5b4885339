-- Raise the counter above every number that may have been given. Not idempotent.
-- KEYS counter, stamp; ARGV the highest recorded number, and '1' if the state may have lost later numbers.
-- The counter's old value stays in the stamp until everything above it is replayed.
local now = tonumber(redis.call('GET', KEYS[1]) or '0')
if ARGV[2] == '1' or tonumber(ARGV[1]) > now then
    -- A state without a stamp has lost its data: everything is replayed, and this field alone would not be a stamp.
    if redis.call('HEXISTS', KEYS[2], 'state_format') == 1 then
        redis.call('HSETNX', KEYS[2], APPLIED_BEFORE_RECOVERY, string.format('%.0f', now))
    end
    redis.call('SET', KEYS[1], string.format('%.0f', math.max(now, tonumber(ARGV[1])) + SKIP))
end
return 1
