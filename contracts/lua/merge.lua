-- One entity's history: 8 bytes floor, then entries of 24 bytes in order of position (second, transaction id). Entries
-- that came long after a later one are under a key of their own, in order of arrival, until they are folded in.
-- Scripts of the writer (Spark) and of the scorer begin with this file; the byte format: contracts/online_state.py.

-- A late entry that is followed by more than this is kept under the key of the late ones, of which there are this many.
local END_BYTES, LATE_BYTES = 4096, 24 * 512
-- An entity with more entries in its horizon has a higher floor, so that one entity's payments cannot slow down all.
local MOST_BYTES = 24 * 50000
local KEPT_ENTRIES = 45000
-- What one SETRANGE costs in the append-only file, in bytes; about.
local COMMAND_BYTES = 80
local DAY = 86400

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

-- The byte at which the first entry of the history from byte i on begins that does not come before entries at j.
local function find(history, i, entries, j)
    local low, high = 0, (#history + 1 - i) / 24
    if high > 0 and not before(history, i, entries, j) then return i end
    while low < high do
        local mid = math.floor((low + high) / 2)
        if before(history, i + mid * 24, entries, j) then low = mid + 1 else high = mid end
    end
    return i + low * 24
end

-- The byte at which late entries have the position of entries at j, nil if none has.
local function find_late(late, entries, j)
    local wanted, at = string.sub(entries, j, j + 15), 0
    repeat
        at = string.find(late, wanted, at + 1, true)
    until not at or at % 24 == 1
    return at
end

-- Write the lesser value into s at the entry that begins at byte at; changes receives {byte, value} if it differs.
local function lower(s, at, entries, j, changes)
    local was = string.sub(s, at + 16, at + 23)
    local value = lesser(was, string.sub(entries, j + 16, j + 23))
    if value ~= was then changes[#changes + 1] = {at + 16, value} end
end

local function with_changes(s, changes)
    if #changes == 0 then return s end
    local parts, from = {}, 1
    for _, change in ipairs(changes) do
        parts[#parts + 1] = string.sub(s, from, change[1] - 1)
        parts[#parts + 1] = change[2]
        from = change[1] + 8
    end
    parts[#parts + 1] = string.sub(s, from)
    return table.concat(parts)
end

-- The union of two lists of sorted entries.
local function union(a, b)
    local parts, i = {}, 1
    for j = 1, #b, 24 do
        local at = find(a, i, b, j)
        parts[#parts + 1] = string.sub(a, i, at - 1)
        i = at
        if at <= #a and not before(b, j, a, at) then
            parts[#parts + 1] = string.sub(a, at, at + 15)
            parts[#parts + 1] = lesser(string.sub(a, at + 16, at + 23), string.sub(b, j + 16, j + 23))
            i = at + 24
        else
            parts[#parts + 1] = string.sub(b, j, j + 23)
        end
    end
    parts[#parts + 1] = string.sub(a, i)
    return table.concat(parts)
end

-- Entries in order of position.
local function sort(late)
    local sorted = {}
    for at = 1, #late, 24 do sorted[#sorted + 1] = string.sub(late, at, at + 23) end
    table.sort(sorted, function(a, b) return before(a, 1, b, 1) end)
    return table.concat(sorted)
end

-- The second of the newest entry that decides which ones are too old. One that is dated in the future, for example because of a wrong
-- clock, must not displace the others.
local function newest(s)
    return math.min(second(s, #s - 23), tonumber(redis.call('TIME')[1]) + DAY)
end

-- The second up to which entries are too old: older than the newest by keep seconds. nil while no entry is older than that
-- by slack seconds.
local function cut_of(history, keep, slack)
    if second(history, 9) > second(history, #history - 23) - keep - slack then return nil end
    local cut = newest(history) - keep
    if second(history, 9) > cut - slack then return nil end
    return cut
end

-- How many of the oldest entries to drop: those up to the cut, and those that are too many.
local function surplus(history, cut)
    local count = (#history - 8) / 24
    local low, high = 0, cut and count or 0
    while low < high do
        local mid = math.floor((low + high) / 2)
        if second(history, 9 + mid * 24) <= cut then low = mid + 1 else high = mid end
    end
    if (count - low) * 24 > MOST_BYTES then return count - KEPT_ENTRIES end
    return low
end

-- Write what differs from the value of `was` bytes: the changes, and all from a byte on; or the whole, if that is less.
local function write(key, was, whole, changes, from)
    if was <= 8 and #whole > was or #changes * COMMAND_BYTES > #whole then
        redis.call('SET', key, whole)
        return
    end
    for _, change in ipairs(changes) do redis.call('SETRANGE', key, change[1] - 1, change[2]) end
    if from <= #whole then redis.call('SETRANGE', key, from - 1, string.sub(whole, from)) end
end

-- Find the places of sorted entries that are not all newer than the history, and return what becomes of the history and of
-- the late entries: their bytes, what changes in them, from which byte on the history is another, the late entries that
-- are added, and those that are too old: up to the second `oldest`.
local function place(old, late, entries, oldest)
    local is = {history = old, late = late, from = #old + 1, changes = {}}
    local i, added, too_old, late_changes = 9, {}, {}, {}
    for j = 1, #entries, 24 do
        i = find(old, i, entries, j)
        local is_old, at = second(entries, j) <= oldest, nil
        if i <= #old and not before(entries, j, old, i) then
            lower(old, i, entries, j, is.changes)
        elseif is_old then
            too_old[#too_old + 1] = string.sub(entries, j, j + 23)
        elseif #old + 1 - i <= END_BYTES then
            -- From here on the end of the history is written again.
            local rest = string.sub(old, i)
            local merged = union(rest, string.sub(entries, j))
            if merged ~= rest then is.history, is.from = string.sub(old, 1, i - 1) .. merged, i end
            break
        else
            at = find_late(late, entries, j)
            if at then
                lower(late, at, entries, j, late_changes)
            else
                added[#added + 1] = string.sub(entries, j, j + 23)
            end
        end
    end
    table.sort(late_changes, function(a, b) return a[1] < b[1] end)
    is.history = with_changes(is.history, is.changes)
    is.late, is.late_changes = with_changes(late, late_changes), late_changes
    is.added, is.too_old = table.concat(added), table.concat(too_old)
    return is
end

local function later(a, b)
    return second(a, 1) > second(b, 1) and a or b
end

-- Merge sorted entries into the history at key and return it, and its late entries; both as they are before old entries
-- are dropped, since the payments merged may be old ones. Of two entries at the same position the lesser value stays (the
-- earlier report). Merging is idempotent, and commutative up to what is dropped; `floor` rises with what is, and nothing
-- up to it is added again.
-- Every write goes to the append-only file too, so only what changes is written.
local function merge(key, floor, entries, keep, slack)
    slack = slack or 0
    local late_key = key .. ':late'
    local old, late = redis.call('GET', key) or string.rep('\0', 8), redis.call('GET', late_key) or ''
    local is
    if #old == 8 or before(old, #old - 23, entries, 1) then
        is = {history = old .. entries, late = late, from = #old + 1, changes = {}, late_changes = {}}
        is.added, is.too_old = '', ''
    else
        -- A floor of 0 means that nothing was dropped yet.
        local cut, dropped = math.max(newest(old), newest(entries)) - keep - slack, second(old, 1)
        is = place(old, late, entries, math.max(cut, dropped > 0 and dropped or -1))
    end
    floor = later(floor, string.sub(old, 1, 8))
    if is.too_old ~= '' then floor = later(string.sub(is.too_old, -24, -17), floor) end
    local cut, late_bytes = cut_of(is.history, keep, slack), #is.late + #is.added
    if cut or late_bytes > LATE_BYTES or #is.history - 8 + late_bytes > MOST_BYTES then
        local folded = string.sub(is.history, 1, 8) .. union(union(string.sub(is.history, 9), sort(is.late)), is.added)
        local drop = surplus(folded, cut)
        if drop > 0 then floor = later(string.sub(folded, drop * 24 - 15, drop * 24 - 8), floor) end
        redis.call('SET', key, floor .. string.sub(folded, 9 + drop * 24))
        redis.call('DEL', late_key)
    else
        local stored = is.history
        if string.sub(old, 1, 8) ~= floor then
            stored = floor .. string.sub(stored, 9)
            table.insert(is.changes, 1, {1, floor})
        end
        write(key, #old, stored, is.changes, is.from)
        write(late_key, #late, is.late .. is.added, is.late_changes, #late + 1)
    end
    return is.history, is.late .. is.added .. is.too_old
end
