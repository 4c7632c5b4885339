"""Bounds on the structure of a JSON body, by counting bytes before it is parsed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SLACK: Final = 100
"""What a body may have more than its bounds: the list around its items, and mistakes worth an exact message."""
LONGEST_NUMBER: Final = 64
"""Digits in a row: Python's time to read an integer grows with the square of its digits."""
_PER_ITEM: Final = {b'"': 20, b":": 12, b",": 8}
"""More than a valid item has: a payment has up to 14 quotes, 9 colons and 5 commas. Lists and objects need commas, or
are nested, which Python's parser rejects at a depth of some hundred."""
_ALIKE: Final = bytes.maketrans(b"123456789", b"0" * 9)


@dataclass(frozen=True)
class Bounds:
    """How often each byte of JSON's structure may occur in a body."""

    most: dict[bytes, int]

    @classmethod
    def of(cls, items: int) -> Bounds:
        """The bounds of a body with so many payments or fraud reports."""
        return cls({byte: items * count + SLACK for byte, count in _PER_ITEM.items()})

    def exceeded_by(self, body: bytes) -> bool:
        """Whether a body has more fields, texts or lists than these bounds. Text that looks like structure counts."""
        return any(body.count(byte) > most for byte, most in self.most.items())


def has_long_number(body: bytes) -> bool:
    """Whether a body has more than `LONGEST_NUMBER` digits in a row."""
    return b"0" * (LONGEST_NUMBER + 1) in body.translate(_ALIKE)
