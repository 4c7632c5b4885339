-- Write recorded decisions into the state; they replace what is there.
-- KEYS counter, and for each payment its own key, its customer's and its terminal's;
-- ARGV for each payment its body, its recorded answer, its recorded number (0: it has none) and both entries.
-- -> the payments' numbers.
local floor, numbers = string.rep('\0', 8), {}
for n = 1, #ARGV / 5 do
    local payment, applied = KEYS[3 * n - 1], ARGV[5 * n - 2]
    if applied == '0' then
        applied = redis.call('HGET', payment, 'applied') or string.format('%.0f', redis.call('INCR', KEYS[1]))
    end
    redis.call('HSET', payment, 'body', ARGV[5 * n - 4], 'applied', applied, 'answer', ARGV[5 * n - 3])
    redis.call('EXPIRE', payment, ANSWER_KEEP)
    merge(KEYS[3 * n], floor, ARGV[5 * n - 1], CUSTOMER_KEEP, SLACK)
    merge(KEYS[3 * n + 1], floor, ARGV[5 * n], TERMINAL_KEEP, SLACK)
    numbers[n] = applied
end
return numbers
