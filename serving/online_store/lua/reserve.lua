-- Reserve all ids of a batch or none; an id that exists with a different body is a conflict.
-- KEYS stamp, known ids, payments; ARGV seconds to keep answers, '1' if the decision log was asked for these ids, bodies
-- -> {'reserved'}, {'conflict', index}, {'incompatible', why}, or {'ask', {index of a payment whose answer may have
--    expired, ...}}.
local FIRST = 2
local why = incompatible(KEYS[1])
if why then return {'incompatible', why} end
local highest = string.sub(ARGV[FIRST + 1], 1, 8)
for i = FIRST + 2, #ARGV do
    if above(ARGV[i], highest) then highest = string.sub(ARGV[i], 1, 8) end
end
note_id(KEYS[2], highest, tonumber(ARGV[1]))
local expired, asked = redis.call('HGET', KEYS[2], EXPIRED), {}
for i = 1, #ARGV - FIRST do
    local wanted = ARGV[FIRST + i]
    local body = redis.call('HGET', KEYS[FIRST + i], 'body')
    if body and body ~= wanted then return {'conflict', i} end
    if not body and may_have_expired(string.sub(wanted, 1, 8), expired) then asked[#asked + 1] = i end
end
if #asked > 0 and ARGV[2] ~= '1' then return {'ask', asked} end
for i = 1, #ARGV - FIRST do
    if redis.call('HSETNX', KEYS[FIRST + i], 'body', ARGV[FIRST + i]) == 1 then
        redis.call('EXPIRE', KEYS[FIRST + i], tonumber(ARGV[1]))
    end
end
return {'reserved'}
