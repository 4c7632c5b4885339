-- Write the stamp's fields; `written_to` never moves back.
-- KEYS stamp; ARGV field, value, field, value, ...
local written_to = redis.call('HGET', KEYS[1], 'written_to')
for i = 1, #ARGV, 2 do
    if not (ARGV[i] == 'written_to' and written_to and written_to > ARGV[i + 1]) then
        redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
    end
end
