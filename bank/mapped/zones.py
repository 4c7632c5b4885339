"""Local times of a zone as UTC, by the transitions of its clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from bank.mapped.problems import Mask

Ints = NDArray[np.int64]
DAY: Final = 86_400
YEARS: Final = (datetime(1969, 12, 1, tzinfo=UTC), datetime(2101, 1, 1, tzinfo=UTC))
MICROS: Final = 1_000_000


@lru_cache(maxsize=8)
def transitions(zone: str) -> tuple[Ints, Ints]:
    """The seconds (UTC) at which a zone's offset changes, shape (n,), and the offsets between them, shape (n + 1,)."""
    clock = ZoneInfo(zone)
    first, last = (int(year.timestamp()) for year in YEARS)
    at, offsets = list[int](), [_offset(clock, first)]
    for day in range(first, last, DAY):
        if _offset(clock, day + DAY) != offsets[-1]:
            at.append(_change(clock, day, day + DAY))
            offsets.append(_offset(clock, day + DAY))
    return np.array(at, np.int64), np.array(offsets, np.int64)


def to_utc(local: Ints, zone: str) -> tuple[Ints, Mask, Mask]:
    """Local times as UTC, in microseconds, and which were skipped or repeated by the clock; all of shape (n,).

    As in PEP 495 with fold=0: a repeated time is its first occurrence, a skipped one is moved by the gap.
    """
    at, offsets = transitions(zone)
    changes = at + np.stack([offsets[:-1], offsets[1:]])
    seconds = local // MICROS
    first = np.searchsorted(changes.max(axis=0), seconds, side="right")
    second = np.searchsorted(changes.min(axis=0), seconds, side="right")
    skipped = (first != second) & (offsets[second] > offsets[first])
    return local - offsets[first] * MICROS, skipped, (first != second) & ~skipped


def _offset(clock: ZoneInfo, second: int) -> int:
    delta = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=second)).astimezone(clock).utcoffset()
    return int((delta or timedelta()).total_seconds())


def _change(clock: ZoneInfo, before: int, after: int) -> int:
    """The first second with another offset than `before`."""
    old = _offset(clock, before)
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (middle, after) if _offset(clock, middle) == old else (before, middle)
    return after
