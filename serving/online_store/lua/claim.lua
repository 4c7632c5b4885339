-- Claim payments: number each and merge it into both its histories.
-- KEYS counter, stamp, known ids, and for each payment its own key, its customer's and its terminal's;
-- ARGV seconds to keep answers, '1' if the decision log was asked for these ids, and for each payment its body, both
-- entries and its rank: which is claimed first if not all are. Payments are in order of position, so that each entity's
-- history can be read once for all its payments: what comes after a payment's own position is not its history.
-- -> {'ask', {index of a payment whose answer may have expired, ...}} with nothing claimed, or {'claimed', answers,
--    histories}: for each payment {number, index of the customer history, index of the terminal history},
--    {'answered', answer}, {'conflict'}, {'incompatible', why} or, from the rank on whose histories would make the answer
--    too long, {'later'}; the first rank is claimed in any case. Each history is followed by its late entries.
local KEEP, FIRST, EACH = tonumber(ARGV[1]), 2, 4
local count = (#ARGV - FIRST) / EACH
local why = incompatible(KEYS[2])

local function key(n, which) return KEYS[3 + 3 * (n - 1) + which] end
local function argument(n, which) return ARGV[FIRST + EACH * (n - 1) + which] end

local known, highest = {}, nil
for n = 1, count do
    local payment, id = key(n, 1), string.sub(argument(n, 1), 1, 8)
    known[payment] = known[payment] or redis.call('HMGET', payment, 'body', 'answer', 'applied')
    if not highest or above(id, highest) then highest = id end
end
if not why then
    note_id(KEYS[3], highest, KEEP)
    if ARGV[2] ~= '1' then
        local expired, asked = redis.call('HGET', KEYS[3], EXPIRED), {}
        for n = 1, count do
            if not known[key(n, 1)][1] and may_have_expired(string.sub(argument(n, 1), 1, 8), expired) then
                asked[#asked + 1] = n
            end
        end
        if #asked > 0 then return {'ask', asked} end
    end
end

-- Whether a payment changes histories, and is neither answered nor in conflict.
local function is_new(n)
    local is = known[key(n, 1)]
    return not why and not is[2] and (not is[1] or is[1] == argument(n, 1))
end

-- The first ranks, as long as their histories fit into the answer.
local ranked, chosen, counted, spent = {}, {}, {}, 0
for n = 1, count do ranked[tonumber(argument(n, 4))] = n end
for rank, n in ipairs(ranked) do
    if count > 1 and is_new(n) then
        for which = 2, 3 do
            local history = key(n, which)
            spent = spent + (counted[history] and 0 or redis.call('STRLEN', history))
            counted[history] = true
        end
        if rank > 1 and spent > ANSWER_BYTES then break end
    end
    chosen[n] = true
end

local entries, order = {}, {}

local function add(history, entry, keep)
    local entity = entries[history]
    if not entity then
        order[#order + 1] = history
        entity = {keep = keep, index = #order}
        entries[history] = entity
    end
    -- A payment that is claimed twice at once has one entry.
    if entity[#entity] ~= entry then entity[#entity + 1] = entry end
    return entity.index
end

local answers = {}
for n = 1, count do
    local payment, body = key(n, 1), argument(n, 1)
    local is = known[payment]
    if not chosen[n] then
        answers[n] = {'later'}
    elseif is[1] and is[1] ~= body then
        answers[n] = {'conflict'}
    elseif is[2] then
        answers[n] = {'answered', is[2]}
    elseif why then
        answers[n] = {'incompatible', why}
    else
        if not is[3] then
            is = {body, false, string.format('%.0f', redis.call('INCR', KEYS[1]))}
            known[payment] = is
            redis.call('HSET', payment, 'body', body, 'applied', is[3])
            redis.call('EXPIRE', payment, KEEP)
        end
        answers[n] = {
            is[3],
            add(key(n, 2), argument(n, 2), CUSTOMER_KEEP),
            add(key(n, 3), argument(n, 3), TERMINAL_KEEP),
        }
    end
end
local floor, histories = string.rep('\0', 8), {}
for _, history in ipairs(order) do
    local merged, late = merge(history, floor, table.concat(entries[history]), entries[history].keep, SLACK)
    histories[#histories + 1] = merged
    histories[#histories + 1] = late
end
return {'claimed', answers, histories}
