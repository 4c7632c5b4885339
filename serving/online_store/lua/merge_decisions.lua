-- Write recorded decisions into the state; they replace what is there.
-- KEYS counter, known ids, and for each payment its own key, its customer's and its terminal's;
-- ARGV seconds to keep answers, and for each payment its body, its recorded answer, its recorded number (0: it has none)
-- and both entries. Payments are in order of position.
-- -> the payments' numbers; the list ends before the payments whose histories would make the script too slow, but has one
--    at least.
local KEEP, FIRST, EACH = tonumber(ARGV[1]), 1, 5
local entries, order, spent, numbers = {}, {}, 0, {}

local function key(n, which) return KEYS[2 + 3 * (n - 1) + which] end
local function argument(n, which) return ARGV[FIRST + EACH * (n - 1) + which] end

local function add(history, entry, keep)
    if not entries[history] then
        entries[history] = {keep = keep}
        order[#order + 1] = history
    end
    local entity = entries[history]
    -- A payment that is recorded twice has one entry.
    if entity[#entity] ~= entry then entity[#entity + 1] = entry end
end

for n = 1, (#ARGV - FIRST) / EACH do
    local payment, applied = key(n, 1), argument(n, 3)
    for which = 2, 3 do
        if not entries[key(n, which)] then spent = spent + redis.call('STRLEN', key(n, which)) end
    end
    if n > 1 and spent > ANSWER_BYTES then break end
    if applied == '0' then
        applied = redis.call('HGET', payment, 'applied') or string.format('%.0f', redis.call('INCR', KEYS[1]))
    end
    redis.call('HSET', payment, 'body', argument(n, 1), 'applied', applied, 'answer', argument(n, 2))
    redis.call('EXPIRE', payment, KEEP)
    note_id(KEYS[2], string.sub(argument(n, 1), 1, 8), KEEP)
    add(key(n, 2), argument(n, 4), CUSTOMER_KEEP)
    add(key(n, 3), argument(n, 5), TERMINAL_KEEP)
    numbers[n] = applied
end
for _, history in ipairs(order) do
    merge(history, string.rep('\0', 8), table.concat(entries[history]), entries[history].keep, SLACK)
end
return numbers
