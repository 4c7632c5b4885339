"""Rows that are rejected: why, how many, and some examples without ids in plain text."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

EXAMPLES: Final = 3
LONG_NUMBER: Final = re.compile(r"\d(?:[ -]?\d){7,}")
"""Digits that may be a card number, wherever they stand."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Problem:
    """Rows with the same problem in one of our columns: a mask of shape (n,), and what to write in the map."""

    reason: str
    column: str
    rows: Mask
    remedy: str


@dataclass(frozen=True)
class Example:
    """A rejected row: its number (the first row is 1), and the value, masked where it may be an id."""

    file: str
    row: int
    column: str
    value: str
    remedy: str


@dataclass
class Tally:
    """What became of the rows of a feed: rows = payments + refunds + rejected (`refused`)."""

    rows: int = 0
    payments: int = 0
    refunds: int = 0
    unknown_labels: int = 0
    frauds: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Example]] = field(default_factory=dict)
    notes: Counter[str] = field(default_factory=Counter)
    """How many values were changed by a stated rule."""

    def refuse(self, reason: str, number: int, examples: list[Example]) -> None:
        """Count rows that are rejected for a reason."""
        self.refused[reason] += number
        known = self.examples.setdefault(reason, [])
        known.extend(examples[: EXAMPLES - len(known)])

    def summary(self) -> dict[str, Any]:
        """The counts, as printed by the commands."""
        return {
            "rows_in": self.rows,
            "refunds": self.refunds,
            "unknown_labels": self.unknown_labels,
            "refused": dict(sorted(self.refused.items())),
            "notes": dict(sorted(self.notes.items())),
        }


def masked_id(value: str) -> str:
    """An id for people: its first and last two characters at most."""
    if len(value) >= 8:
        return f"{value[:2]}…{value[-2:]}"
    return f"{value[:1]}…{value[-1:]}" if len(value) >= 4 else "…"


def masked_text(value: str) -> str:
    """A value of any column, with long numbers masked, cut to 40 characters."""
    text = LONG_NUMBER.sub(lambda found: masked_id(found.group()), " ".join(value.split()))
    return text if len(text) <= 40 else f"{text[:39]}…"
