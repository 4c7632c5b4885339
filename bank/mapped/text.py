"""Columns of any type as text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bank.mapped.problems import Mask


def plain(column: pa.Array) -> pa.Array:
    """A column with its dictionary or run-end encoding removed, and all kinds of text as `string`."""
    if pa.types.is_run_end_encoded(column.type):
        column = pc.run_end_decode(column)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(pa.string()) if is_text(column.type) else column


def is_text(kind: pa.DataType) -> bool:
    """Whether a type holds text."""
    tests = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_binary_view,
        pa.types.is_fixed_size_binary,
    )
    return any(test(kind) for test in tests)


def as_text(column: pa.Array) -> pa.Array:
    """The values as trimmed text, null where there is none; whole floats as integers."""
    column = plain(column)
    if pa.types.is_floating(column.type):
        column = _of_floats(column)
    elif not pa.types.is_string(column.type):
        column = column.cast(pa.string())
    trimmed = pc.utf8_trim_whitespace(column)
    blank = pc.equal(pc.binary_length(trimmed), 0)
    if not pc.any(blank).as_py():
        return trimmed
    return pc.if_else(blank, pa.scalar(None, pa.string()), trimmed)


def _of_floats(column: pa.Array) -> pa.Array:
    values = column.cast(pa.float64())
    present = pc.fill_null(pc.is_finite(values), False)
    whole = pc.and_(present, pc.equal(pc.floor(values), values))
    small = pc.and_(whole, pc.less(pc.abs(values), 2.0**53))
    integers = pc.if_else(small, values, 0.0).cast(pa.int64()).cast(pa.string())
    texts = pc.if_else(small, integers, values.cast(pa.string()))
    return pc.if_else(pc.fill_null(pc.is_nan(values), True), pa.scalar(None, pa.string()), texts)


def joined(columns: Sequence[pa.Array]) -> pa.Array:
    """Several columns as one text, with a space between; null where one of them is."""
    texts = [as_text(column) for column in columns]
    return texts[0] if len(texts) == 1 else pc.binary_join_element_wise(*texts, " ")


def mask_of(values: pa.Array) -> Mask:
    """A boolean array as numpy's, null as false."""
    return np.asarray(pc.fill_null(values, False).to_numpy(zero_copy_only=False), dtype=bool)
