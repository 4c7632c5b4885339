-- Reserve all ids of a batch or none; an id that exists with a different body is a conflict.
-- KEYS stamp, payments; ARGV bodies -> {'reserved'}, {'conflict', index} or {'incompatible', why}.
local why = incompatible(KEYS[1])
if why then return {'incompatible', why} end
for i = 1, #ARGV do
    local body = redis.call('HGET', KEYS[i + 1], 'body')
    if body and body ~= ARGV[i] then return {'conflict', i} end
end
for i = 1, #ARGV do
    if redis.call('HSETNX', KEYS[i + 1], 'body', ARGV[i]) == 1 then
        redis.call('EXPIRE', KEYS[i + 1], ANSWER_KEEP)
    end
end
return {'reserved'}
