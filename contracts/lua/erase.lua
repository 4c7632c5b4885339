-- Remove entries from one entity's history and from its late entries; its floor stays, since it is complete after it.
-- KEYS history, late entries; ARGV positions (second, transaction id; 8 bytes each) -> how many entries were removed.
-- The byte format: contracts/online_state.py.
local gone = {}
for at = 1, #ARGV[1], 16 do gone[string.sub(ARGV[1], at, at + 15)] = true end

-- What is left of s, whose entries begin at byte `first`, and how many were removed.
local function without(s, first)
    local parts, from, removed = {}, 1, 0
    for at = first, #s, 24 do
        if gone[string.sub(s, at, at + 15)] then
            parts[#parts + 1] = string.sub(s, from, at - 1)
            from, removed = at + 24, removed + 1
        end
    end
    parts[#parts + 1] = string.sub(s, from)
    return table.concat(parts), removed
end

local total = 0
for n, first in ipairs({9, 1}) do
    local value = redis.call('GET', KEYS[n])
    if value then
        local left, removed = without(value, first)
        if removed > 0 then
            -- A floor of 0 says nothing.
            if left == '' or left == string.rep('\0', 8) then
                redis.call('DEL', KEYS[n])
            else
                redis.call('SET', KEYS[n], left)
            end
        end
        total = total + removed
    end
end
return total
