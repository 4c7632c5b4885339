-- Locate payments: those that were scored, else those in the index of the lake's days, the newest day first.
-- KEYS set of days, payments; ARGV prefix of the index's keys, and the payments' ids as 8 bytes
-- -> for each payment its location (terminal, second, cents; 8 bytes each), or an empty string if it is unknown.
local found, unknown = {}, {}
for n = 2, #ARGV do
    local known = redis.call('HMGET', KEYS[n], 'body', 'applied')
    local body = known[1]
    -- A body is id, customer, terminal, cents, second.
    if body and known[2] then
        found[n - 1] = string.sub(body, 17, 24) .. string.sub(body, 33, 40) .. string.sub(body, 25, 32)
    else
        found[n - 1] = ''
        unknown[#unknown + 1] = n
    end
end
if #unknown == 0 then return found end
local days = redis.call('SMEMBERS', KEYS[1])
table.sort(days, function(one, other) return one > other end)
for _, day in ipairs(days) do
    if #unknown == 0 then break end
    local ids, still = {}, {}
    for n, which in ipairs(unknown) do ids[n] = ARGV[which] end
    local located = redis.call('HMGET', ARGV[1] .. day, unpack(ids))
    for n, which in ipairs(unknown) do
        if located[n] then found[which - 1] = located[n] else still[#still + 1] = which end
    end
    unknown = still
end
return found
