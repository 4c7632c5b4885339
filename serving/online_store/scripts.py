"""The scorer's Lua: each script is atomic, idempotent but for RAISE_APPLIED, and takes all it needs as arguments."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

from contracts.features import CUSTOMER_HORIZON_DAYS, FEATURES_VERSION, TERMINAL_HORIZON_DAYS
from contracts.labels import LABEL_DELAY_DAYS
from contracts.online_state import ADOPTED, CUSTOMER_KEEP, FORMAT, KNOWN_TO, MERGE_LUA, SLACK, TERMINAL_KEEP

ANSWER_KEEP: Final = max(CUSTOMER_KEEP, TERMINAL_KEEP)
"""Seconds of the wall clock for which a payment's first answer is repeated."""


@dataclass(frozen=True)
class Script:
    """A script's source and the name by which Valkey knows it."""

    source: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest())


NOT_ADOPTED: Final = "the recorded decisions are not in it yet"
_UNFIT_LUA: Final = f"""
-- Why the state stamped at key does not serve this code, or nil.
local function unfit(key)
    local m = redis.call('HMGET', key, 'state_format', 'features_version', 'label_delay_days',
        'customer_horizon_days', 'terminal_horizon_days', '{ADOPTED}')
    if not m[1] then return 'it is empty: run write_online_state' end
    if m[1] ~= '{FORMAT}' then return 'it has format ' .. m[1] .. ', and this code reads {FORMAT}' end
    if m[2] ~= '{FEATURES_VERSION}' then
        return 'it is for features version ' .. tostring(m[2]) .. ', and this code computes {FEATURES_VERSION}'
    end
    if m[3] ~= '{LABEL_DELAY_DAYS}' then
        return 'it is for a label delay of ' .. tostring(m[3]) .. ' days, and this code knows {LABEL_DELAY_DAYS}'
    end
    if (tonumber(m[4] or '') or 0) < {CUSTOMER_HORIZON_DAYS}
        or (tonumber(m[5] or '') or 0) < {TERMINAL_HORIZON_DAYS} then
        return 'it reaches back ' .. tostring(m[4]) .. ' and ' .. tostring(m[5])
            .. ' days, and {CUSTOMER_HORIZON_DAYS} and {TERMINAL_HORIZON_DAYS} are needed'
    end
    if not m[6] then return '{NOT_ADOPTED}' end
end
"""

CHECK_STAMP: Final = Script(_UNFIT_LUA + "return unfit(KEYS[1]) or ''\n")
"""KEYS stamp -> why the state cannot be used, empty where it can."""

RESERVE: Final = Script(
    _UNFIT_LUA
    + f"""
local why = unfit(KEYS[1])
if why then return {{'unfit', why}} end
for i = 1, #ARGV do
    local body = redis.call('HGET', KEYS[i + 1], 'body')
    if body and body ~= ARGV[i] then return {{'conflict', i}} end
end
for i = 1, #ARGV do
    if redis.call('HSETNX', KEYS[i + 1], 'body', ARGV[i]) == 1 then
        redis.call('EXPIRE', KEYS[i + 1], {ANSWER_KEEP})
    end
end
return {{'reserved'}}
"""
)
"""KEYS stamp, payments; ARGV bodies. All the ids are taken, or none: another body for one of them is a conflict."""

CLAIM: Final = Script(
    MERGE_LUA
    + _UNFIT_LUA
    + f"""
local floor, answers, why = string.rep('\\0', 8), {{}}, unfit(KEYS[2])
for n = 1, #ARGV / 3 do
    local payment, customer, terminal = KEYS[3 * n], KEYS[3 * n + 1], KEYS[3 * n + 2]
    local body = ARGV[3 * n - 2]
    local known = redis.call('HMGET', payment, 'body', 'answer', 'applied')
    if known[1] and known[1] ~= body then
        answers[n] = {{'conflict'}}
    elseif known[2] then
        answers[n] = {{'answered', known[2]}}
    elseif why then
        answers[n] = {{'unfit', why}}
    else
        local applied = known[3]
        if not applied then
            applied = string.format('%.0f', redis.call('INCR', KEYS[1]))
            redis.call('HSET', payment, 'body', body, 'applied', applied)
            redis.call('EXPIRE', payment, {ANSWER_KEEP})
        end
        answers[n] = {{
            'claimed',
            applied,
            merge(customer, floor, ARGV[3 * n - 1], {CUSTOMER_KEEP}, {SLACK}),
            merge(terminal, floor, ARGV[3 * n], {TERMINAL_KEEP}, {SLACK}),
        }}
    end
end
return answers
"""
)
"""KEYS counter, stamp, and for each payment it, its customer, its terminal; ARGV for each its body and both entries."""

LOST: Final = b"lost"
KEEP_ANSWERS: Final = Script(
    f"""
local kept = {{}}
for n = 1, #ARGV do
    local known = redis.call('HMGET', KEYS[n + 1], 'answer', 'applied')
    kept[n] = known[1]
    -- Without its claim it would have an answer, and stand in no history.
    if not known[1] and not known[2] then return {{'{LOST.decode()}'}} end
end
for n = 1, #ARGV do
    if not kept[n] then
        -- To the stream first: if memory runs out between the two, the decision is drained twice rather than never.
        redis.call('XADD', KEYS[1], '*', 'decision', ARGV[n])
        redis.call('HSET', KEYS[n + 1], 'answer', ARGV[n])
    end
end
return kept
"""
)
"""KEYS stream, payments; ARGV their answers -> for each nil where it was kept, else what was there; or LOST, and none
was kept, where a payment is not claimed any more."""

ADOPT: Final = Script(
    MERGE_LUA
    + f"""
local floor, numbers = string.rep('\\0', 8), {{}}
for n = 1, #ARGV / 5 do
    local payment, applied = KEYS[3 * n - 1], ARGV[5 * n - 2]
    if applied == '0' then
        applied = redis.call('HGET', payment, 'applied') or string.format('%.0f', redis.call('INCR', KEYS[1]))
    end
    redis.call('HSET', payment, 'body', ARGV[5 * n - 4], 'applied', applied, 'answer', ARGV[5 * n - 3])
    redis.call('EXPIRE', payment, {ANSWER_KEEP})
    merge(KEYS[3 * n], floor, ARGV[5 * n - 1], {CUSTOMER_KEEP}, {SLACK})
    merge(KEYS[3 * n + 1], floor, ARGV[5 * n], {TERMINAL_KEEP}, {SLACK})
    numbers[n] = applied
end
return numbers
"""
)
"""KEYS counter, and for each payment it, its customer, its terminal; ARGV for each its body, its recorded answer, its
recorded number in the order of application (0: it has none), and both entries -> its number. What was recorded takes
the place of what is there."""

SKIP: Final = 1_000_000
"""Numbers in the order of application left out where some may have been given that nobody here knows of: more than
there can be answers that wait in the stream."""

RAISE_APPLIED: Final = Script(
    f"""
local now = tonumber(redis.call('GET', KEYS[1]) or '0')
if ARGV[2] == '1' or tonumber(ARGV[1]) > now then
    redis.call('HSETNX', KEYS[2], '{KNOWN_TO}', string.format('%.0f', now))
    redis.call('SET', KEYS[1], string.format('%.0f', math.max(now, tonumber(ARGV[1])) + {SKIP}))
end
return 1
"""
)
"""KEYS counter, stamp; ARGV the highest number recorded, and 1 where later ones may be forgotten: the next is higher.
What the counter was before any of it stays in the stamp, until what is above it is put back."""

MARK_ADOPTED: Final = Script(
    f"""
if redis.call('HEXISTS', KEYS[1], 'state_format') == 1 then
    redis.call('HSET', KEYS[1], '{ADOPTED}', ARGV[1])
end
return 1
"""
)
"""KEYS stamp; ARGV a name. A state without a stamp stays empty: it has lost its data again."""

MERGE_REPORTS: Final = Script(MERGE_LUA + f"merge(KEYS[1], string.rep('\\0', 8), ARGV[1], {TERMINAL_KEEP})\nreturn 1\n")
"""KEYS terminal; ARGV its entries with the seconds of their reports, in order of place."""
