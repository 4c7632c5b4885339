"""Local times of a zone as UTC."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bank.mapped.problems import Mask
from contracts.zones import find_zone

Ints = NDArray[np.int64]
MICROS: Final = 1_000_000


def to_utc(local: Ints, zone: str) -> tuple[Ints, Mask, Mask]:
    """Local times as UTC, in microseconds, and which were skipped or repeated by the clock; all of shape (n,).

    As in PEP 495 with fold=0: a repeated time is its first occurrence, a skipped one is moved by the gap.
    """
    transitions, offsets = find_zone(zone).table
    changes = transitions + np.stack([offsets[:-1], offsets[1:]])
    seconds = local // MICROS
    first = np.searchsorted(changes.max(axis=0), seconds, side="right")
    second = np.searchsorted(changes.min(axis=0), seconds, side="right")
    skipped = (first != second) & (offsets[second] > offsets[first])
    return local - offsets[first] * MICROS, skipped, (first != second) & ~skipped
