"""Display ids: short names of ids for people. `C-7Q4K2` is easier to compare and to say than 5117203449120087321.

A display id is stable, but not a key: with some thousands of customers a few have the same one.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

DIGITS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no letter looks like a digit."""
LETTERS: Final = {"customer_id": "C", "terminal_id": "T", "transaction_id": "P"}
LENGTH: Final = 5
FIRST_LONG: Final = 10**9
"""Ids below are short enough themselves; hashes are never below."""


def display_id(kind: str, number: int) -> str:
    """The display id of an id, where `kind` is a key of `LETTERS`."""
    digest = int.from_bytes(blake2b(f"{kind} {number}".encode(), digest_size=8).digest())
    return f"{LETTERS[kind]}-" + "".join(DIGITS[digest >> 5 * place & 31] for place in range(LENGTH))


def named(kind: str, number: int) -> str:
    """An id in a text for people: a long one after its display id."""
    return f"{number}" if 0 <= number < FIRST_LONG else f"{display_id(kind, number)} ({number})"
