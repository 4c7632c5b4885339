"""The online state: what Valkey holds, byte for byte, and the one procedure that changes a history.

| key | holds |
|---|---|
| `c:<customer_id>`, `t:<terminal_id>` | a history: 8 bytes `floor`, then entries of 24 bytes in order of place |
| `i:<day>` | hash of the payments that came by way of the lake: id (8 bytes, big-endian) -> `LOCATION` |
| `state:days` | set of the days that have an `i:<day>` |
| `state:meta` | hash: the stamp, `Stamp`'s fields as text; `ADOPTED`, once recorded decisions are in it; `KNOWN_TO` |
| `state:applied` | counter: how many payments were applied, hence each one's place in the order of application |
| `p:<transaction_id>` | hash of a scored payment: `body`, `applied`, and once it is answered `answer` |
| `decisions` | stream of the decisions not yet in PostgreSQL |

Beside it, and no part of it, `rate:*` counts the requests of API keys that have a rate
(`serving/middleware/rate_limits.py`).

An entry is three big-endian int64: second, transaction id, and the cents (customer) or the cents and the second of the
earliest fraud report in one (terminal, `pack_reported`): of one payment's two, the lesser is the earlier report's.
`floor` is the newest second that may have been dropped: a history is complete for everything later. All three values
are 0 or more, so unsigned comparison is right.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.features import CUSTOMER_HORIZON_DAYS, FEATURES_VERSION, TERMINAL_HORIZON_DAYS
from contracts.histories import Ints
from contracts.labels import DAY, LABEL_DELAY_DAYS, NEVER

ENTRY: Final = np.dtype([("occurred", ">i8"), ("transaction_id", ">i8"), ("value", ">i8")])
LOCATION: Final = np.dtype([("terminal_id", ">i8"), ("occurred", ">i8"), ("cents", ">i8")])
FLOOR_BYTES: Final = 8
FORMAT: Final = 2
META_KEY: Final = "state:meta"
ADOPTED: Final = "decisions_adopted"
KNOWN_TO: Final = "known_to"
"""While the state is repaired: the highest number in the order of application that it knew of itself."""
DAYS_KEY: Final = "state:days"
APPLIED_KEY: Final = "state:applied"
DECISIONS_KEY: Final = "decisions"

CENTS_BITS: Final = 27
NOT_REPORTED: Final = 2**36 - 1
"""In a terminal's entry, the second of a report that did not come; in the year 4147, and a later report is none."""

CUSTOMER_KEEP: Final = (CUSTOMER_HORIZON_DAYS + 1) * DAY
TERMINAL_KEEP: Final = (TERMINAL_HORIZON_DAYS + 1) * DAY
"""Seconds of history kept before an entity's newest payment: the horizon and a day."""
SLACK: Final = 7 * DAY
"""Seconds by which a history may reach back further before a payment cuts it: one that lost an entry for each new one
would be written whole every time, to the append-only file too, and that is most of what a payment costs Valkey."""

MERGE_LUA: Final = """
local function place(s, at)
    return struct.unpack('>I4I4I4I4', s, at)
end

-- Whether the entry of a at i comes before the entry of b at j. Halves of 32 bits: a Lua number holds 53.
local function before(a, i, b, j)
    local a1, a2, a3, a4 = place(a, i)
    local b1, b2, b3, b4 = place(b, j)
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

-- Merge sorted entries into the history at key; at the same place the lesser value stays (an earlier report). Drop what
-- is older than keep seconds before the newest, once something is older by slack (0) than that. Returns the history,
-- floor first.
local function merge(key, floor, entries, keep, slack)
    local old = redis.call('GET', key) or (string.rep('\\0', 8))
    -- Mostly the new entries are the newest: then the old ones stay as they are, in one piece. In any case they stay as
    -- far as changed, the first byte that is not as it was.
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
        -- What is written goes to the append-only file as well: the end of the history, not all of it.
        redis.call('SETRANGE', key, changed - 1, string.sub(history, changed))
    end
    return history
end
"""
"""Lua that scripts of the writer and of the scorer begin with: `merge(key, floor, entries, keep, slack)`."""


@dataclass(frozen=True)
class Stamp:
    """What the state was written for; a model that needs more is refused. `written_to` is a day, YYYY-MM-DD."""

    written_to: str
    state_format: int = FORMAT
    features_version: str = FEATURES_VERSION
    label_delay_days: int = LABEL_DELAY_DAYS
    customer_horizon_days: int = CUSTOMER_HORIZON_DAYS
    terminal_horizon_days: int = TERMINAL_HORIZON_DAYS

    def fields(self) -> dict[str, str]:
        """The stamp as Valkey holds it."""
        return {name: str(value) for name, value in asdict(self).items()}


def customer_key(customer_id: int) -> str:
    """Where a customer's history is."""
    return f"c:{customer_id}"


def terminal_key(terminal_id: int) -> str:
    """Where a terminal's history is."""
    return f"t:{terminal_id}"


def payment_key(transaction_id: int) -> str:
    """Where a scored payment's claim and answer are."""
    return f"p:{transaction_id}"


def index_key(day: str) -> str:
    """Where the payments of one day (YYYY-MM-DD) that came by way of the lake are found by their ids."""
    return f"i:{day}"


def pack_second(second: int) -> bytes:
    """A floor: one second, 0 or more, as 8 bytes."""
    return max(second, 0).to_bytes(FLOOR_BYTES, "big")


def pack_entries(
    occurred: NDArray[np.int64], transaction_id: NDArray[np.int64], value: NDArray[np.int64]
) -> NDArray[np.void]:
    """Entries of a history, shape (n,), in the order given; `.tobytes()` of a slice is what Valkey holds."""
    entries = np.empty(len(occurred), dtype=ENTRY)
    entries["occurred"], entries["transaction_id"], entries["value"] = occurred, transaction_id, value
    return entries


def pack_reported(cents: Ints, reported: Ints) -> Ints:
    """The values of a terminal's entries: cents, below 2^27, and seconds of earliest reports, `NEVER` without one."""
    return (np.minimum(reported, NOT_REPORTED) << CENTS_BITS) | cents


def unpack_reported(values: Ints) -> tuple[Ints, Ints]:
    """The cents, and the seconds of the earliest reports, `NEVER` without one."""
    reported = values >> CENTS_BITS
    return values & (2**CENTS_BITS - 1), np.where(reported == NOT_REPORTED, NEVER, reported)


def unpack_history(history: bytes) -> tuple[int, NDArray[np.void]]:
    """A history's floor (a second) and its entries, shape (n,). Raises ValueError where its length is not right."""
    return int.from_bytes(history[:FLOOR_BYTES], "big"), np.frombuffer(history, dtype=ENTRY, offset=FLOOR_BYTES)
