"""The online state: the byte layout of its Valkey keys, and the Lua function that merges entries into a history.

| key | value |
|---|---|
| `c:<customer_id>`, `t:<terminal_id>` | a history: 8 bytes `floor`, then entries of 24 bytes sorted by position |
| `c:<customer_id>:late`, `t:<terminal_id>:late` | late entries in order of arrival, until `merge` folds them in |
| `i:<day>` | hash of the payments that came from the lake: id (8 bytes, big-endian) -> `LOCATION` |
| `state:days` | set of the days that have an `i:<day>` |
| `state:meta` | hash: the fields of `Stamp` as text, and the fields of recovery below |
| `state:applied` | counter that gives sequence numbers: one to each payment, and one to some fraud reports together |
| `p:<transaction_id>` | hash of a scored payment: `body`, `applied`, and `answer` once it is answered |
| `state:ids` | hash: the highest id claimed on each day, to tell which answers may have expired |
| `decisions` | stream of the decisions that are not in PostgreSQL yet |
| `fraud_reports` | stream of the accepted fraud reports that are not in PostgreSQL yet |

The keys `rate:*` are not part of it: they count the payments of API keys with a rate
(`serving/middleware/rate_limits.py`).

An entry is three big-endian int64: second, transaction id, and a value. The first two are its position. The value is
the cents for a customer; for a terminal it packs the cents and the second of the earliest fraud report
(`pack_reported`), so that the smaller of two values has the earlier report. `floor` is the newest second that may have
been dropped: a history is complete after it. All three values are 0 or more, so unsigned comparison is valid.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.features import CUSTOMER_HORIZON_DAYS, FEATURES_VERSION, TERMINAL_HORIZON_DAYS
from contracts.histories import Ints
from contracts.labels import DAY, LABEL_DELAY_DAYS, NEVER
from contracts.zones import ZoneId

ENTRY: Final = np.dtype([("occurred", ">i8"), ("transaction_id", ">i8"), ("value", ">i8")])
LOCATION: Final = np.dtype([("terminal_id", ">i8"), ("occurred", ">i8"), ("cents", ">i8")])
FLOOR_BYTES: Final = 8
WORD: Final = 8
"""Bytes of an integer: a history is a number of them, the floor and three an entry."""
FORMAT: Final = 3
"""Format 2 had no late entries under keys of their own, so it can be read as format 3."""
READABLE_FORMATS: Final = ("2", str(FORMAT))
META_KEY: Final = "state:meta"
RECONCILED: Final = "decisions_adopted"
"""Field of `state:meta` once every recorded decision is merged: a new random id each time."""
APPLIED_BEFORE_RECOVERY: Final = "known_to"
"""Field of `state:meta` while decisions are replayed after a failure: what `state:applied` was before
recovery raised it."""
REPAIRED_BY: Final = "repaired_by"
"""Field of `state:meta` during recovery: a random token of the scorer that began the latest one."""
RECOVERED_RUN: Final = "recovered_run"
"""Field of `state:meta`: the run id of the Valkey server for which recovery was last complete."""
DAYS_KEY: Final = "state:days"
APPLIED_KEY: Final = "state:applied"
IDS_KEY: Final = "state:ids"
DECISIONS_KEY: Final = "decisions"
REPORTS_KEY: Final = "fraud_reports"

CENTS_BITS: Final = 27
NOT_REPORTED: Final = 2**36 - 1
"""In a terminal's entry, the second that means no report (in the year 4147); a later report counts as none."""

CUSTOMER_KEEP: Final = (CUSTOMER_HORIZON_DAYS + 1) * DAY
TERMINAL_KEEP: Final = (TERMINAL_HORIZON_DAYS + 1) * DAY
"""Seconds of history kept before an entity's newest payment: the horizon plus one day."""
SLACK: Final = 7 * DAY
"""Seconds by which a history may exceed that before a payment trims it. Trimming rewrites the whole value, including in
the append-only file, which is most of a payment's cost in Valkey, so it must not happen for every payment."""

MERGE_LUA: Final = files("contracts").joinpath("lua", "merge.lua").read_text("utf-8")
"""Lua prefix of the writer's and the scorer's scripts; defines `merge(key, floor, entries, keep, slack)`."""


ERASE_LUA: Final = files("contracts").joinpath("lua", "erase.lua").read_text("utf-8")
"""Lua script that removes entries from a history by their positions: one payment's, when its customer is forgotten."""


@dataclass(frozen=True)
class Stamp:
    """The versions, horizons and zone that the state was written for, and its last day `written_to` (YYYY-MM-DD).

    The scorer compares it with its own, and the zone with its model's, and rejects an incompatible state.
    """

    written_to: str
    state_format: int = FORMAT
    features_version: str = FEATURES_VERSION
    label_delay_days: int = LABEL_DELAY_DAYS
    customer_horizon_days: int = CUSTOMER_HORIZON_DAYS
    terminal_horizon_days: int = TERMINAL_HORIZON_DAYS
    zone: ZoneId = field(default_factory=ZoneId)

    def fields(self) -> dict[str, str]:
        """The stamp as the fields of a Valkey hash; without those of the zone for UTC."""
        versions = {name: str(value) for name, value in asdict(self).items() if name != "zone"}
        return versions | self.zone.fields()


def customer_key(customer_id: int) -> str:
    """The key of a customer's history."""
    return f"c:{customer_id}"


def terminal_key(terminal_id: int) -> str:
    """The key of a terminal's history."""
    return f"t:{terminal_id}"


def payment_key(transaction_id: int) -> str:
    """The key of a scored payment's claim and answer."""
    return f"p:{transaction_id}"


def late_key(history: str) -> str:
    """The key of a history's late entries."""
    return f"{history}:late"


def index_key(day: str) -> str:
    """The key of the index, by id, of one day's (YYYY-MM-DD) payments from the lake."""
    return f"i:{day}"


def pack_second(second: int) -> bytes:
    """A floor as 8 bytes; negative seconds become 0."""
    return max(second, 0).to_bytes(FLOOR_BYTES, "big")


def pack_entries(
    occurred: NDArray[np.int64], transaction_id: NDArray[np.int64], value: NDArray[np.int64]
) -> NDArray[np.void]:
    """Entries of a history, shape (n,), in the order given; Valkey stores the `.tobytes()` of a slice."""
    entries = np.empty(len(occurred), dtype=ENTRY)
    entries["occurred"], entries["transaction_id"], entries["value"] = occurred, transaction_id, value
    return entries


def pack_positions(positions: Iterable[tuple[int, int]]) -> bytes:
    """Positions (second, transaction id), 16 bytes each."""
    return b"".join(second.to_bytes(8, "big") + number.to_bytes(8, "big") for second, number in positions)


def pack_reported(cents: Ints, reported: Ints) -> Ints:
    """The values of a terminal's entries, shape (n,): cents below 2^27 and seconds of reports, `NEVER` without one."""
    return (np.minimum(reported, NOT_REPORTED) << CENTS_BITS) | cents


def unpack_reported(values: Ints) -> tuple[Ints, Ints]:
    """The cents and the seconds of the earliest reports (`NEVER` without one) in a terminal's values, shapes (n,)."""
    reported = values >> CENTS_BITS
    return values & (2**CENTS_BITS - 1), np.where(reported == NOT_REPORTED, NEVER, reported)


def unpack_history(history: bytes) -> tuple[int, NDArray[np.void]]:
    """A history's floor (a second) and its entries, shape (n,). Raises ValueError for an invalid length."""
    return int.from_bytes(history[:FLOOR_BYTES], "big"), np.frombuffer(history, dtype=ENTRY, offset=FLOOR_BYTES)


def with_late(history: bytes, late: bytes) -> bytes:
    """A history with its late entries at their places; both packed."""
    if not late:
        return history
    entries = np.frombuffer(history[FLOOR_BYTES:] + late, dtype=ENTRY)
    order = np.lexsort((entries["transaction_id"], entries["occurred"]))
    return history[:FLOOR_BYTES] + entries[order].tobytes()
