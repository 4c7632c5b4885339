-- Claim payments: number each and merge it into both its histories.
-- KEYS counter, stamp, and for each payment its own key, its customer's and its terminal's;
-- ARGV for each payment its body and both entries.
-- -> for each {'claimed', number, customer history, terminal history}, {'answered', answer}, {'conflict'} or
--    {'incompatible', why}.
local floor, answers, why = string.rep('\0', 8), {}, incompatible(KEYS[2])
for n = 1, #ARGV / 3 do
    local payment, customer, terminal = KEYS[3 * n], KEYS[3 * n + 1], KEYS[3 * n + 2]
    local body = ARGV[3 * n - 2]
    local known = redis.call('HMGET', payment, 'body', 'answer', 'applied')
    if known[1] and known[1] ~= body then
        answers[n] = {'conflict'}
    elseif known[2] then
        answers[n] = {'answered', known[2]}
    elseif why then
        answers[n] = {'incompatible', why}
    else
        local applied = known[3]
        if not applied then
            applied = string.format('%.0f', redis.call('INCR', KEYS[1]))
            redis.call('HSET', payment, 'body', body, 'applied', applied)
            redis.call('EXPIRE', payment, ANSWER_KEEP)
        end
        answers[n] = {
            'claimed',
            applied,
            merge(customer, floor, ARGV[3 * n - 1], CUSTOMER_KEEP, SLACK),
            merge(terminal, floor, ARGV[3 * n], TERMINAL_KEEP, SLACK),
        }
    end
end
return answers
