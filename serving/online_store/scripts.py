"""The scorer's Lua scripts: each runs atomically in Valkey. All may be repeated; `ADVANCE_SEQUENCE` and
`ACCEPT_REPORTS` then give other numbers.

A script is its file in `lua/`, preceded by what it needs: the constants below, `contracts/lua/merge.lua`,
`lua/incompatible.lua`, `lua/known_ids.lua`. The head of each file describes its keys and arguments.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Final

from contracts.features import CUSTOMER_HORIZON_DAYS, FEATURES_VERSION, TERMINAL_HORIZON_DAYS
from contracts.labels import DAY, LABEL_DELAY_DAYS
from contracts.online_state import (
    APPLIED_BEFORE_RECOVERY,
    CUSTOMER_KEEP,
    FORMAT,
    MERGE_LUA,
    RECONCILED,
    RECOVERED_RUN,
    REPAIRED_BY,
    SLACK,
    TERMINAL_KEEP,
)

NOT_RECONCILED: Final = "the recorded decisions are not in the online state yet"
ANSWER_BYTES: Final = 4 * 2**20
"""Bytes of histories that one call of a script reads, about: it bounds how long Valkey serves nothing else."""
EXPIRED: Final = "expired"
"""Field of `state:ids` with the highest id whose answer may have expired; the others are days since 1970."""
LOST: Final = b"lost"
SKIP: Final = 1_000_000
"""Sequence numbers skipped after a fault, since some may have been given that only other scorers know of: more than the
outbox can hold."""

_CONSTANTS: Final[dict[str, int | str]] = {
    "ANSWER_BYTES": ANSWER_BYTES,
    "DAY": DAY,
    "EXPIRED": EXPIRED,
    "APPLIED_BEFORE_RECOVERY": APPLIED_BEFORE_RECOVERY,
    "CUSTOMER_HORIZON_DAYS": str(CUSTOMER_HORIZON_DAYS),
    "CUSTOMER_KEEP": CUSTOMER_KEEP,
    "FEATURES_VERSION": FEATURES_VERSION,
    "FORMAT": str(FORMAT),
    "LABEL_DELAY_DAYS": str(LABEL_DELAY_DAYS),
    "LOST": LOST.decode(),
    "NOT_RECONCILED": NOT_RECONCILED,
    "RECONCILED": RECONCILED,
    "RECOVERED_RUN": RECOVERED_RUN,
    "REPAIRED_BY": REPAIRED_BY,
    "SKIP": SKIP,
    "SLACK": SLACK,
    "TERMINAL_HORIZON_DAYS": str(TERMINAL_HORIZON_DAYS),
    "TERMINAL_KEEP": TERMINAL_KEEP,
}
"""What the stamp is compared with is text, as Valkey returns it; seconds and counts are numbers."""


@dataclass(frozen=True)
class Script:
    """A script's source and the SHA-1 by which Valkey caches it."""

    source: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest())


def _read(name: str) -> str:
    return files("serving.online_store").joinpath("lua", f"{name}.lua").read_text("utf-8")


def _constants() -> str:
    """The constants as Lua locals."""
    values = {name: f"'{value}'" if isinstance(value, str) else value for name, value in _CONSTANTS.items()}
    return "".join(f"local {name} = {value}\n" for name, value in values.items())


def _script(name: str, *parts: str) -> Script:
    return Script("\n".join([_constants(), *parts, _read(name)]))


_INCOMPATIBLE: Final = _read("incompatible")
_KNOWN_IDS: Final = _read("known_ids")

CHECK_STAMP: Final = _script("check_stamp", _INCOMPATIBLE)
RESERVE: Final = _script("reserve", _INCOMPATIBLE, _KNOWN_IDS)
CLAIM: Final = _script("claim", MERGE_LUA, _INCOMPATIBLE, _KNOWN_IDS)
STORE_RESPONSES: Final = _script("store_responses")
MERGE_DECISIONS: Final = _script("merge_decisions", MERGE_LUA, _KNOWN_IDS)
ADVANCE_SEQUENCE: Final = _script("advance_sequence")
MAY_HAVE_EXPIRED: Final = _script("may_have_expired", _KNOWN_IDS)
START_RECOVERY: Final = _script("start_recovery")
FINISH_RECOVERY: Final = _script("finish_recovery")
ACCEPT_REPORTS: Final = _script("accept_reports", MERGE_LUA, _INCOMPATIBLE)
MERGE_REPORTS: Final = _script("merge_reports", MERGE_LUA)
LOCATE: Final = _script("locate")
