-- Write the stamp's fields; `written_to` never moves back. Without those of a zone, the zone is UTC.
-- KEYS stamp; ARGV field, value, field, value, ...
redis.call('HDEL', KEYS[1], 'bank_zone', 'bank_zone_rules')
local written_to = redis.call('HGET', KEYS[1], 'written_to')
for i = 1, #ARGV, 2 do
    if not (ARGV[i] == 'written_to' and written_to and written_to > ARGV[i + 1]) then
        redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
    end
end
