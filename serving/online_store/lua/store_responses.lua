-- Store responses and append them to the outbox stream; of two responses to one payment, the first.
-- KEYS stream, payments; ARGV their responses -> for each nil if it was stored, else the response that was there first;
-- or {LOST}, with none stored, if the claim of a payment is gone.
local kept, stored = {}, {}
for n = 1, #ARGV do
    local known = redis.call('HMGET', KEYS[n + 1], 'answer', 'applied')
    kept[n] = known[1]
    -- Without its claim a payment would have a response and be in no history.
    if not known[1] and not known[2] then return {LOST} end
end
for n = 1, #ARGV do
    kept[n] = kept[n] or stored[KEYS[n + 1]] or false
    if not kept[n] then
        -- To the stream first: if memory runs out between the two, the decision is relayed twice rather than never.
        redis.call('XADD', KEYS[1], '*', 'decision', ARGV[n])
        redis.call('HSET', KEYS[n + 1], 'answer', ARGV[n])
        stored[KEYS[n + 1]] = ARGV[n]
    end
end
return kept
