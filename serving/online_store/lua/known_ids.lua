-- Which ids may have been answered so long ago that their answers have expired, without remembering each id: the highest
-- id of every day on which ids were claimed is kept. What is above the highest one of the days that are old enough is new,
-- or its answer is still there. Ids are 8 bytes, big-endian. The clock is Valkey's, as it is for expiry.

local function above(a, b)
    local a1, a2 = struct.unpack('>I4I4', a)
    local b1, b2 = struct.unpack('>I4I4', b)
    return a1 > b1 or (a1 == b1 and a2 > b2)
end

local function raise(key, field, id)
    local highest = redis.call('HGET', key, field)
    if not highest or above(id, highest) then redis.call('HSET', key, field, id) end
end

-- Note an id that is claimed now; keep is for how many seconds answers are kept, a day at least.
local function note_id(key, id, keep)
    local today = math.floor(tonumber(redis.call('TIME')[1]) / DAY)
    if redis.call('HEXISTS', key, today) == 0 then
        -- The first one of a day: answers of the days before the last `keep` seconds expire until its end.
        local days = redis.call('HGETALL', key)
        for n = 1, #days, 2 do
            local day = tonumber(days[n])
            if day and day * DAY + keep < (today + 1) * DAY then
                raise(key, EXPIRED, days[n + 1])
                redis.call('HDEL', key, days[n])
            end
        end
    end
    raise(key, today, id)
end

-- Whether the answer to an id may have expired, if it is not there.
local function may_have_expired(id, expired)
    return expired and not above(id, expired)
end
