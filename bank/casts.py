"""Cast columns without changing a value: what does not fit is named with its row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from bank.errors import DataError

EXACT_BELOW: Final = {pa.float16(): 2**11, pa.float32(): 2**24, pa.float64(): 2**53}
"""From here on, a float of this width may stand for several whole numbers."""
WHOLE: Final = r"^(0|-?[1-9][0-9]*)$"
"""A whole number as text. Arrow also reads "007" and "0x7", so that two texts would become one id."""
SHOWN: Final = 40
"""Characters of a value in a message."""


@dataclass(frozen=True)
class Place:
    """Where a column comes from; `first_row` is the number in the file of its first value."""

    column: str
    path: Path
    first_row: int = 0

    def __str__(self) -> str:
        return f"the column {self.column} of {self.path}"

    def problem(self, values: pa.ChunkedArray, index: int, problem: str, remedy: str = "correct it") -> DataError:
        """The error about one of the values."""
        return DataError(
            f"{self} {problem}: row {self.first_row + index} (the first row is 0) has {shown(values[index])}: {remedy}"
        )


def whole_numbers(column: pa.ChunkedArray, place: Place) -> pa.ChunkedArray:
    """Integers, floats without fractions, decimals and text as int64; NaN becomes null. Raises `DataError`."""
    column = decoded(column)
    kind = column.type
    if pa.types.is_floating(kind):
        column = _exact_floats(column, place)
    elif is_text(kind):
        column = _plain_digits(column.cast(pa.large_string()), place)
    elif not is_number(kind):
        raise DataError(f"{place} has type {kind}: store it as integers")
    return cast(column, pa.int64(), place)


def cast(column: pa.ChunkedArray, to: pa.DataType, place: Place) -> pa.ChunkedArray:
    """The column as another type. Raises `DataError` for the first value that would change."""
    try:
        return column.cast(to)
    except pa.ArrowException as error:
        index = first_failure(column, lambda part: part.cast(to))
        raise place.problem(column, index, f"cannot be read as {to}") from error


def first_failure(column: pa.ChunkedArray, work: Callable[[pa.ChunkedArray], Any]) -> int:
    """The index of the first value for which `work` raises; it does for the whole column."""
    low, high = 0, len(column)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            work(column.slice(low, middle - low))
            low = middle
        except pa.ArrowException:
            high = middle
    return low


def decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column without dictionary or run-end encoding; unchanged if Arrow cannot decode it: its type is rejected."""
    decode = {pa.types.is_run_end_encoded: pc.run_end_decode, pa.types.is_dictionary: _without_dictionary}
    for is_encoded, decode_chunk in decode.items():
        if is_encoded(column.type):
            try:
                chunks = [decode_chunk(chunk) for chunk in column.chunks]
            except pa.ArrowNotImplementedError:
                # Not lost: the caller rejects the encoded type, naming file and column.
                return column
            return decoded(pa.chunked_array(chunks)) if chunks else pa.chunked_array([], column.type.value_type)
    return column


def _without_dictionary(chunk: pa.DictionaryArray) -> pa.Array:
    # Arrow has no `take` for views.
    words = chunk.dictionary.cast(pa.large_string()) if is_text(chunk.type.value_type) else chunk.dictionary
    return words.take(chunk.indices)


def is_number(kind: pa.DataType) -> bool:
    """Whether a type is of numbers, or of nulls only."""
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)
    return any(test(kind) for test in tests)


def is_text(kind: pa.DataType) -> bool:
    """Whether a type is of text."""
    return any(test(kind) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def shown(value: pa.Scalar) -> str:
    """A value for a message: text in quotes, everything cut to `SHOWN` characters."""
    plain = value.as_py()
    text = repr(plain) if isinstance(plain, str | bytes) else str(plain)
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."


def _exact_floats(column: pa.ChunkedArray, place: Place) -> pa.ChunkedArray:
    """Floats whose NaN is null: pandas stores integers as floats if some are missing."""
    limit = EXACT_BELOW[column.type]
    column = column.cast(pa.float64())
    inexact = pc.index(pc.greater_equal(pc.abs(column), float(limit)), True).as_py()
    if inexact >= 0:
        problem = f"has numbers of {limit:,} or more as floats, which may have been rounded"
        raise place.problem(column, inexact, problem, "store them as integers or text")
    return pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)


def _plain_digits(column: pa.ChunkedArray, place: Place) -> pa.ChunkedArray:
    other = pc.index(pc.match_substring_regex(column, WHOLE), False).as_py()
    if other >= 0:
        raise place.problem(column, other, "cannot be read as int64", "store whole numbers without leading zeros")
    return column
