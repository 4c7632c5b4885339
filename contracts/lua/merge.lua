-- One entity's history: 8 bytes floor, then entries of 24 bytes in order of position (second, transaction id).
-- Scripts of the writer (Spark) and of the scorer begin with this file; the byte format: contracts/online_state.py.

local function position(s, at)
    return struct.unpack('>I4I4I4I4', s, at)
end

-- Whether the entry of a at i comes before the entry of b at j. Compared in halves of 32 bits: a Lua number is exact
-- to 53 bits only.
local function before(a, i, b, j)
    local a1, a2, a3, a4 = position(a, i)
    local b1, b2, b3, b4 = position(b, j)
    if a1 ~= b1 then return a1 < b1 end
    if a2 ~= b2 then return a2 < b2 end
    if a3 ~= b3 then return a3 < b3 end
    return a4 < b4
end

local function second(s, at)
    local hi, lo = struct.unpack('>I4I4', s, at)
    return hi * 4294967296 + lo
end

local function lesser(a, b)
    local a1, a2 = struct.unpack('>I4I4', a)
    local b1, b2 = struct.unpack('>I4I4', b)
    if a1 < b1 or (a1 == b1 and a2 <= b2) then return a end
    return b
end

-- Merge sorted entries into the history at key and return the history, floor first. Of two entries at the same position
-- the lesser value stays (the earlier report). Entries older than the newest by keep seconds are dropped, once one is
-- older than that by slack seconds (default 0). Merging is idempotent, and commutative up to what is dropped.
local function merge(key, floor, entries, keep, slack)
    local old = redis.call('GET', key) or (string.rep('\0', 8))
    -- The common case: the new entries are the newest, so the old ones stay in one piece. `changed` is the first byte
    -- that differs from the old history.
    local history, changed = old .. entries, #old + 1
    if #old > 8 and #entries > 0 and not before(old, #old - 23, entries, 1) then
        local parts, i, j = {string.sub(old, 1, 8)}, 9, 1
        changed = nil
        while j <= #entries do
            local from, low, high = i, 0, (#old + 1 - i) / 24
            while low < high do
                local mid = math.floor((low + high) / 2)
                if before(old, i + mid * 24, entries, j) then low = mid + 1 else high = mid end
            end
            i = i + low * 24
            if i > from then parts[#parts + 1] = string.sub(old, from, i - 1) end
            if i <= #old and not before(entries, j, old, i) then
                local was = string.sub(old, i + 16, i + 23)
                local value = lesser(was, string.sub(entries, j + 16, j + 23))
                if value ~= was then changed = changed or i end
                parts[#parts + 1] = string.sub(old, i, i + 15) .. value
                i = i + 24
            else
                changed = changed or i
                parts[#parts + 1] = string.sub(entries, j, j + 23)
            end
            j = j + 24
        end
        if i <= #old then parts[#parts + 1] = string.sub(old, i) end
        history = table.concat(parts)
    end
    local cut, low, high = second(history, #history - 23) - keep, 0, (#history - 8) / 24
    if second(history, 9) > cut - (slack or 0) then high = 0 end
    while low < high do
        local mid = math.floor((low + high) / 2)
        if second(history, 9 + mid * 24) <= cut then low = mid + 1 else high = mid end
    end
    local was = second(old, 1)
    if low > 0 then
        local dropped = string.sub(history, low * 24 - 15, low * 24 - 8)
        if second(dropped, 1) > second(floor, 1) then floor = dropped end
    end
    if low > 0 or second(floor, 1) > was then
        if second(floor, 1) <= was then floor = string.sub(old, 1, 8) end
        history = floor .. string.sub(history, 9 + low * 24)
        redis.call('SET', key, history)
    elseif #old == 8 then
        redis.call('SET', key, history)
    elseif changed and changed <= #history then
        -- Every write goes to the append-only file too, so only the changed end is written.
        redis.call('SETRANGE', key, changed - 1, string.sub(history, changed))
    end
    return history
end
