-- Accept fraud reports: append them to the outbox, and merge them into the histories of their terminals.
-- KEYS counter, stamp, stream, terminals; ARGV the reports as JSON, and for each terminal its entries with the seconds
-- of their reports, in order of position.
-- -> {'accepted', the sequence number of all of them} or {'incompatible', why}.
local floor, why = string.rep('\0', 8), incompatible(KEYS[2])
if why then return {'incompatible', why} end
local applied = string.format('%.0f', redis.call('INCR', KEYS[1]))
-- To the stream first: if memory runs out between the two, a report is recorded that was not accepted.
redis.call('XADD', KEYS[3], '*', 'reports', ARGV[1], 'applied', applied)
for n = 2, #ARGV do
    merge(KEYS[n + 2], floor, ARGV[n], TERMINAL_KEEP)
end
return {'accepted', applied}
