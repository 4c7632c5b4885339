-- KEYS stamp -> {why the state cannot be used, empty if it can; the name and the rules of its zone, empty for UTC}.
-- A state of format 2 is one of format 3 without late entries; code that reads format 2 must not use it any more.
if redis.call('HGET', KEYS[1], 'state_format') == '2' then redis.call('HSET', KEYS[1], 'state_format', FORMAT) end
local zone = redis.call('HMGET', KEYS[1], 'bank_zone', 'bank_zone_rules')
return {incompatible(KEYS[1]) or '', zone[1] or '', zone[2] or ''}
