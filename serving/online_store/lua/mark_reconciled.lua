-- Mark the state as holding every recorded decision. A state without a stamp has lost its data again: leave it empty.
-- KEYS stamp; ARGV a unique name.
if redis.call('HEXISTS', KEYS[1], 'state_format') == 1 then
    redis.call('HSET', KEYS[1], RECONCILED, ARGV[1])
end
return 1
