"""Convert the columns of the published format to a feed's; other widths and encodings of a type are accepted.

A column of the wrong type ends the load, because the file is not in the published format. Values that are merely
invalid (negative, missing, NaN) are kept: validation quarantines them with a reason.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bank.errors import DataError, one_line
from bank.feed import BATCH_SCHEMA, INSTANT
from contracts.transaction import FRAUD_PATTERNS

COLUMNS: Final = ("TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD")
SCENARIO: Final = "TX_FRAUD_SCENARIO"
"""The column with the pattern of a fraud; optional."""
IDS: Final = {"TRANSACTION_ID": "transaction_id", "CUSTOMER_ID": "customer_id", "TERMINAL_ID": "terminal_id"}
NOISE: Final = 1e-9
YEARS: Final = (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))
"""The first and last instant that both a Python `datetime` and PostgreSQL's text format can represent."""


def payments_of(tables: Iterator[pa.Table], path: Path) -> Iterator[pa.Table]:
    """A file's payments in `BATCH_SCHEMA`, with their row numbers; `arrived_at` is a copy of `occurred_at` for now.

    Raises `DataError`, naming the file and the column, for a column of the wrong type.
    """
    row = 0
    for table in tables:
        yield _payments(table, row, path)
        row += len(table)


def from_pandas(column: Any, name: str, path: Path) -> pa.Array:
    """A data frame's column as an array; ids may be strings of digits, integers may be in an object column.

    Raises `DataError`, naming the file and the column.
    """
    try:
        # In plain float columns NaN is not turned into null, so that a NaN amount lands unmodified.
        plain = isinstance(column.dtype, np.dtype) and column.dtype.kind == "f"
        return pa.array(column.to_numpy()) if plain else pa.Array.from_pandas(column)
    except (pa.ArrowException, AttributeError, TypeError, ValueError) as error:
        raise DataError(
            f"the column {name} of {path} cannot be read ({one_line(error)}): store values of one type in it"
        ) from error


def _payments(table: pa.Table, first_row: int, path: Path) -> pa.Table:
    columns = {ours: _whole_numbers(table[name], name, path) for name, ours in IDS.items()}
    columns["source_row"] = pa.array(np.arange(first_row, first_row + len(table)))
    columns["amount"] = _amounts(table["TX_AMOUNT"], path)
    columns["occurred_at"] = _instants(table["TX_DATETIME"], first_row, path)
    columns["arrived_at"] = columns["occurred_at"]
    columns["fraud"] = pc.not_equal(_whole_numbers(table["TX_FRAUD"], "TX_FRAUD", path), 0)
    columns["pattern"] = _patterns(table, path)
    return pa.table({field.name: columns[field.name] for field in BATCH_SCHEMA}, schema=BATCH_SCHEMA)


def _patterns(table: pa.Table, path: Path) -> pa.Array | pa.ChunkedArray:
    """Each row's code in `FRAUD_PATTERNS`; null if it is unknown or the file has no such column."""
    if SCENARIO not in table.column_names:
        return pa.nulls(len(table), pa.int64())
    try:
        codes = _whole_numbers(table[SCENARIO], SCENARIO, path)
    except DataError as error:
        # Patterns are for analysis only: an unreadable column must not block the load.
        print(f"ignored: {error}", file=sys.stderr)
        return pa.nulls(len(table), pa.int64())
    known = pc.is_in(codes, value_set=pa.array(list(FRAUD_PATTERNS), pa.int64()))
    return pc.if_else(known, codes, pa.scalar(None, pa.int64()))


def _whole_numbers(column: pa.ChunkedArray, name: str, path: Path) -> pa.ChunkedArray:
    column = _decoded(column)
    kind = column.type
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    elif pa.types.is_floating(kind):
        # pandas stores integers as floats if some are missing.
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column)
    elif not (_is_number(kind) or _is_text(kind)):
        raise DataError(f"the column {name} of {path} has type {kind}: store it as integers")
    return _cast(column, pa.int64(), name, path)


def _amounts(column: pa.ChunkedArray, path: Path) -> pa.ChunkedArray:
    column = _decoded(column)
    if not _is_number(column.type):
        raise DataError(f"the column TX_AMOUNT of {path} has type {column.type}: store it as numbers")
    # Cast through text: 12.34 must not become 12.34000015258789 or, from a decimal, 12.340000000000002.
    if pa.types.is_float16(column.type) or pa.types.is_float32(column.type):
        column = column.cast(pa.float32()).cast(pa.string())
    elif pa.types.is_decimal(column.type):
        column = column.cast(pa.string())
    return _without_noise(_cast(column, pa.float64(), "TX_AMOUNT", path))


def _without_noise(amounts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Amounts with floating-point noise removed: 85.64999999999999 becomes 85.65."""
    # A quotient, not `round(x, 2)`: only the quotient is the double nearest to the decimal.
    nearest = pc.divide(pc.round(pc.multiply(amounts, 100.0)), 100.0)
    noise = pc.less_equal(pc.abs(pc.subtract(amounts, nearest)), NOISE)
    return pc.if_else(pc.fill_null(noise, False), nearest, amounts)


def _instants(column: pa.ChunkedArray, first_row: int, path: Path) -> pa.ChunkedArray:
    if not pa.types.is_timestamp(column.type):
        raise DataError(f"the column TX_DATETIME of {path} has type {column.type}: store it as timestamps")
    truncate = pc.CastOptions(target_type=INSTANT, allow_time_truncate=True)
    try:
        instants = pc.cast(column, options=truncate)
    except pa.ArrowException as error:
        raise DataError(
            f"the column TX_DATETIME of {path} has a time that cannot be read ({one_line(error)}): correct it"
        ) from error
    first, last = (pa.scalar(year, INSTANT) for year in YEARS)
    outside = pc.index(pc.or_(pc.less(instants, first), pc.greater(instants, last)), True).as_py()
    if outside >= 0:
        raise DataError(
            f"the column TX_DATETIME of {path} has a time outside the years 1 to 9999 in row {first_row + outside} "
            "(the first row is 0): correct it"
        )
    return instants


def _cast(column: pa.ChunkedArray, to: pa.DataType, name: str, path: Path) -> pa.ChunkedArray:
    try:
        return column.cast(to)
    except pa.ArrowException as error:
        raise DataError(
            f"the column {name} of {path} cannot be read as {to} ({one_line(error)}): correct the value"
        ) from error


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _is_number(kind: pa.DataType) -> bool:
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)
    return any(test(kind) for test in tests)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
