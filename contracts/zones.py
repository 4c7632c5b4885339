"""The bank's time zone: night and weekend are local to it, while the days of the lake stay UTC.

A zone is a table of the timestamps at which its offset changes. It is computed once, from the IANA database (the
package tzdata), and travels from there: to Spark's tasks, and in the model's bundle to the scorer, which needs no
database. Zones are the same if their tables are: `ZoneId` has the table's digest, in the stamp of the online state and
in the files of features.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC as UTC_TIME
from datetime import datetime, tzinfo
from functools import cache, cached_property
from importlib.resources import files
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from contracts.histories import Ints

NAME_FIELD: Final = "bank_zone"
RULES_FIELD: Final = "bank_zone_rules"
VARIABLE: Final = "BANK_ZONE"
REBUILD_ALL: Final = (
    f"with the bank's zone in {VARIABLE}, run build_features over all days, then write_online_state, then "
    "modeling.train, evaluate and promote"
)
"""What a change of the zone takes."""
_DAY: Final = 86_400
_END: Final = int(datetime(2100, 1, 1, tzinfo=UTC_TIME).timestamp())
"""The end of the table; the last offset holds afterwards, since no zone's rules are known so far ahead."""
_MAX_CHANGES: Final = 2_000
_SHOWN: Final = 3


@dataclass(frozen=True)
class ZoneId:
    """A zone's name, for people, and the digest of its table, empty for UTC; equal digests are equal zones."""

    name: str = field(default="UTC", compare=False)
    rules: str = ""

    def __str__(self) -> str:
        return self.name

    def fields(self) -> dict[str, str]:
        """The id as text fields; UTC has none, like what was written before zones existed."""
        return {NAME_FIELD: self.name, RULES_FIELD: self.rules} if self.rules else {}

    @classmethod
    def read(cls, fields: Mapping[str, str]) -> ZoneId:
        """The id in text fields; a zone without its rules is none of those that are known."""
        name = fields.get(NAME_FIELD) or UTC.name
        rules = fields.get(RULES_FIELD) or ("" if name == UTC.name else "unknown")
        return cls(name, rules) if rules else cls()

    def versus(self, other: ZoneId) -> tuple[str, str]:
        """Both names, told apart by their digests if only the rules differ."""
        if self.name != other.name:
            return self.name, other.name
        return f"{self.name} (rules {self.rules})", f"{other.name} (rules {other.rules})"


@dataclass(frozen=True)
class Zone:
    """A zone from 1970 on: `offsets[n]`, in seconds east of UTC, holds from second `transitions[n - 1]` on.

    Raises ValueError for an invalid table.
    """

    name: str = "UTC"
    transitions: tuple[int, ...] = ()
    offsets: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        if len(self.offsets) != len(self.transitions) + 1 or len(self.transitions) > _MAX_CHANGES:
            raise ValueError(f"a zone has one offset more than transitions, and at most {_MAX_CHANGES} of these")
        if any(first >= second for first, second in pairwise(self.transitions)):
            raise ValueError("the transitions of a zone are in ascending order")
        if any(abs(offset) > _DAY for offset in self.offsets) or any(not 0 < at < _END for at in self.transitions):
            raise ValueError("a zone's transitions are from 1970 to 2099, its offsets at most a day")

    @cached_property
    def is_utc(self) -> bool:
        """Whether local time is UTC, whatever the name."""
        return not any(self.offsets)

    @cached_property
    def id(self) -> ZoneId:
        """What identifies the zone."""
        if self.is_utc:
            return ZoneId()
        table = f"{list(self.transitions)} {list(self.offsets)}".encode()
        return ZoneId(self.name, hashlib.sha256(table).hexdigest()[:16])

    @cached_property
    def table(self) -> tuple[Ints, Ints]:
        """The transitions, shape (n,), and the offsets, shape (n + 1,), for the kernel; UTC has no transitions."""
        if self.is_utc:
            return np.empty(0, dtype=np.int64), np.zeros(1, dtype=np.int64)
        return np.array(self.transitions, dtype=np.int64), np.array(self.offsets, dtype=np.int64)

    def local(self, seconds: Ints) -> Ints:
        """Local time of instants, both in seconds since 1970-01-01T00:00 (local, UTC), of the same shape."""
        if self.is_utc:
            return seconds
        transitions, offsets = self.table
        local: Ints = seconds + offsets[transitions.searchsorted(seconds, side="right")]
        return local


UTC: Final = Zone()


@cache
def find_zone(name: str) -> Zone:
    """The zone of an IANA name. Raises ValueError for another name, with the closest ones."""
    if name == UTC.name:
        return UTC
    if name not in zone_names():
        raise ValueError(f"{name!r} is not a time zone of the IANA database{_suggestion(name)}")
    changes = list(_changes(clock_of(name)))
    return Zone(name, tuple(second for second, _ in changes[1:]), tuple(offset for _, offset in changes))


def clock_of(name: str) -> ZoneInfo:
    """The clock of an IANA name, by the package tzdata."""
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def _changes(zone: tzinfo) -> Iterator[tuple[int, int]]:
    """The offset at timestamp 0, then each timestamp at which it changes and the new one."""

    def offset(second: int) -> int:
        delta = datetime.fromtimestamp(second, zone).utcoffset()
        assert delta is not None
        return round(delta.total_seconds())

    at, now = 0, offset(0)
    yield at, now
    for day in range(_DAY, _END + 1, _DAY):
        while offset(day - 1) != now:
            at = _first_change(offset, at, day - 1)
            now = offset(at)
            yield at, now
        at = day - 1


def _first_change(offset: Callable[[int], int], low: int, high: int) -> int:
    """The second in (low, high] from which the offset is not that of `low`; at `high` it is another one."""
    before = offset(low)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if offset(middle) == before else (low, middle)
    return high


@cache
def zone_names() -> frozenset[str]:
    """The names of all zones."""
    return frozenset(files("tzdata").joinpath("zones").read_text("utf-8").split())


def _suggestion(name: str) -> str:
    """The closest names, by the whole name or by its last part, as text; empty without any."""
    wanted = name.strip().replace(" ", "_").lower()
    known: dict[str, str] = {}
    for one in sorted(zone_names()):
        known.setdefault(one.lower(), one)
        known.setdefault(one.lower().rpartition("/")[2], one)
    close = difflib.get_close_matches(wanted, known, 2 * _SHOWN) or difflib.get_close_matches(
        wanted.rpartition("/")[2], known, 2 * _SHOWN
    )
    found = list(dict.fromkeys(known[one] for one in close))[:_SHOWN]
    return f": write {' or '.join(found)}" if found else ": write a name such as Europe/Berlin, or UTC"
