"""Ids: short whole numbers stay as they are, everything else becomes a keyed hash.

The rule looks at each value alone, so an id gets the same number in every file. The shortest card numbers seen have 11
digits (in the Sparkov data), so none is kept in plain text. The key is a secret of the installation: without it nothing
can be found out by trying every card number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bank.mapped.problems import Mask, Problem
from bank.mapped.text import as_text, mask_of, plain

KEPT: Final = r"^(0|[1-9][0-9]{0,8})$"
"""A whole number of at most 9 digits, as a number is written."""
FIRST_HASH: Final = 10**9
"""Hashes are never below, so that none equals a number that is kept."""
WHOLE_FLOAT: Final = r"^(?:0|[1-9][0-9]{0,14})\.0$"
"""How pandas writes whole numbers of a column with gaps."""
LOST_DIGITS: Final = r"^-?[0-9]\.[0-9]+[eE]\+?[0-9]+$"
EXACT: Final = 2.0**53
NUMBERED: Final = 1 << 62
"""The bit of ids made from a source and a row; hashes of a payment's id do not have it."""
ROW_BITS: Final = 28
"""The bits of a row's number in such an id; the others tell sources apart."""
KINDS: Final = ("transaction_id", "customer_id", "terminal_id", "source")
HASHED: Final = pa.schema([("kind", pa.int16()), ("id", pa.int64()), ("fingerprint", pa.int64())])
"""Two ids with the same hash have different fingerprints."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class IdKey:
    """The secret with which ids are hashed."""

    secret: bytes

    def hashes(self, kind: str, values: Sequence[str]) -> tuple[Ints, Ints]:
        """The 63-bit hashes of some texts and their fingerprints, both of shape (n,)."""
        start = blake2b(digest_size=16, key=blake2b(self.secret).digest(), person=kind.encode()[:16])
        digests = b"".join([_digest(start, value) for value in values])
        pairs = np.frombuffer(digests, dtype="<u8").reshape(-1, 2)
        bits = 62 if kind == "transaction_id" else 63
        ids = (pairs[:, 0] & np.uint64((1 << bits) - 1)).astype(np.int64)
        return np.where(ids < FIRST_HASH, ids + FIRST_HASH, ids), pairs[:, 1].astype(np.int64)

    def first_of_source(self, source: str) -> tuple[int, pa.Table]:
        """The id of row 0 of a source, and its entry in the register; each row has the next id."""
        hashes, fingerprints = self.hashes("source", [source])
        first = NUMBERED | (int(hashes[0]) & ((1 << 62 - ROW_BITS) - 1)) << ROW_BITS
        return first, hashed_table("source", np.array([first]), fingerprints)


def _digest(start: blake2b, text: str) -> bytes:
    # A copy takes half the time of a new start with the key.
    hashing = start.copy()
    hashing.update(text.encode())
    return hashing.digest()


@dataclass(frozen=True)
class Ids:
    """The ids of some rows, shape (n,), and the register's entries of those that are hashes."""

    values: Ints
    hashed: pa.Table


def hashed_table(kind: str, ids: Ints, fingerprints: Ints) -> pa.Table:
    """Entries of the register of hashes."""
    kinds = pa.array(np.full(len(ids), KINDS.index(kind), np.int16))
    return pa.table([kinds, pa.array(ids), pa.array(fingerprints)], schema=HASHED)


def id_texts(columns: Sequence[pa.Array], ours: str) -> tuple[pa.Array, list[Problem]]:
    """The ids as text, and the rows that have none or one that lost digits; several columns identify together."""
    lost = [_lost_digits(plain(column)) for column in columns]
    texts = _whole(as_text(columns[0])) if len(columns) == 1 else _together(columns)
    missing = mask_of(pc.is_null(texts))
    many = np.logical_or.reduce(lost)
    return texts, [
        Problem(f"{ours}: digits are lost", ours, many, "store it as text or whole numbers, not as floats"),
        Problem(f"{ours}: missing", ours, missing & ~many, f"map {ours} to a column that always has a value"),
    ]


def numbers_of(texts: pa.Array, kind: str, key: IdKey) -> Ids:
    """Ids as int64, 0 where there is none; each distinct text is hashed once."""
    encoded = texts.dictionary_encode()
    distinct = encoded.dictionary
    kept = mask_of(pc.match_substring_regex(distinct, KEPT))
    numbers = np.zeros(len(distinct) + 1, np.int64)
    numbers[:-1][kept] = distinct.filter(pa.array(kept)).cast(pa.int64()).to_numpy()
    hashes, fingerprints = key.hashes(kind, distinct.filter(pa.array(~kept)).to_pylist())
    numbers[:-1][~kept] = hashes
    places = pc.fill_null(encoded.indices, len(distinct)).to_numpy()
    return Ids(numbers[places], hashed_table(kind, hashes, fingerprints))


def _together(columns: Sequence[pa.Array]) -> pa.Array:
    """Several columns as one text; null where all are."""
    texts = [_whole(as_text(column)) for column in columns]
    nothing = np.logical_and.reduce([mask_of(pc.is_null(text)) for text in texts])
    # A separator of its own: "1" with "23" is not "12" with "3".
    joint = pc.binary_join_element_wise(*(pc.fill_null(text, "") for text in texts), "\x1f")
    return pc.if_else(pa.array(nothing), pa.scalar(None, pa.string()), joint)


def _whole(texts: pa.Array) -> pa.Array:
    floats = pc.match_substring_regex(texts, WHOLE_FLOAT)
    if not pc.any(floats).as_py():
        return texts
    return pc.if_else(floats, pc.replace_substring(texts, ".0", ""), texts)


def _lost_digits(column: pa.Array) -> Mask:
    """Floats beyond 2^53 or with decimals, and text such as 4.17e+15: several ids became one."""
    if pa.types.is_floating(column.type):
        values = column.cast(pa.float64())
        rounded = pc.or_(pc.greater_equal(pc.abs(values), EXACT), pc.not_equal(pc.floor(values), values))
        return mask_of(pc.and_(rounded, pc.invert(pc.is_nan(values))))
    if pa.types.is_string(column.type):
        return mask_of(pc.match_substring_regex(column, LOST_DIGITS))
    return np.zeros(len(column), bool)
