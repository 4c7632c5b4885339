"""Convert the columns of the published format to a feed's; other widths and encodings of a type are accepted.

A column of the wrong type ends the load, because the file is not in the published format. Values that are merely
invalid (negative, missing, NaN) are kept: validation quarantines them with a reason.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bank.casts import Place, cast, decoded, first_failure, is_number, whole_numbers
from bank.errors import DataError
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


def _payments(table: pa.Table, first_row: int, path: Path) -> pa.Table:
    def place(name: str) -> Place:
        return Place(name, path, first_row)

    columns = {ours: whole_numbers(table[name], place(name)) for name, ours in IDS.items()}
    columns["source_row"] = pa.array(np.arange(first_row, first_row + len(table)))
    columns["amount"] = _amounts(table["TX_AMOUNT"], place("TX_AMOUNT"))
    columns["occurred_at"] = _instants(table["TX_DATETIME"], place("TX_DATETIME"))
    columns["arrived_at"] = columns["occurred_at"]
    columns["fraud"] = pc.not_equal(_flags(table["TX_FRAUD"], place("TX_FRAUD")), 0)
    columns["pattern"] = _patterns(table, place(SCENARIO))
    return pa.table({field.name: columns[field.name] for field in BATCH_SCHEMA}, schema=BATCH_SCHEMA)


def _patterns(table: pa.Table, place: Place) -> pa.Array | pa.ChunkedArray:
    """Each row's code in `FRAUD_PATTERNS`; null if it is unknown or the file has no such column."""
    if SCENARIO not in table.column_names:
        return pa.nulls(len(table), pa.int64())
    try:
        codes = whole_numbers(table[SCENARIO], place)
    except DataError as error:
        # Patterns are for analysis only: an unreadable column must not block the load.
        print(f"ignored: {error}", file=sys.stderr)
        return pa.nulls(len(table), pa.int64())
    known = pc.is_in(codes, value_set=pa.array(list(FRAUD_PATTERNS), pa.int64()))
    return pc.if_else(known, codes, pa.scalar(None, pa.int64()))


def _flags(column: pa.ChunkedArray, place: Place) -> pa.ChunkedArray:
    column = decoded(column)
    return whole_numbers(column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column, place)


def _amounts(column: pa.ChunkedArray, place: Place) -> pa.ChunkedArray:
    column = decoded(column)
    if not is_number(column.type):
        raise DataError(f"{place} has type {column.type}: store it as numbers")
    # Cast through text: 12.34 must not become 12.34000015258789 or, from a decimal, 12.340000000000002.
    if pa.types.is_float16(column.type) or pa.types.is_float32(column.type):
        column = column.cast(pa.float32()).cast(pa.string())
    elif pa.types.is_decimal(column.type):
        column = column.cast(pa.string())
    return _without_noise(cast(column, pa.float64(), place))


def _without_noise(amounts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Amounts with floating-point noise removed: 85.64999999999999 becomes 85.65."""
    # A quotient, not `round(x, 2)`: only the quotient is the double nearest to the decimal.
    nearest = pc.divide(pc.round(pc.multiply(amounts, 100.0)), 100.0)
    noise = pc.less_equal(pc.abs(pc.subtract(amounts, nearest)), NOISE)
    return pc.if_else(pc.fill_null(noise, False), nearest, amounts)


def _instants(column: pa.ChunkedArray, place: Place) -> pa.ChunkedArray:
    column = decoded(column)
    if not pa.types.is_timestamp(column.type):
        raise DataError(f"{place} has type {column.type}: store it as timestamps")
    try:
        instants = _to_micros(column)
    except pa.ArrowException as error:
        raise _outside(place, first_failure(column, _to_micros)) from error
    first, last = (pa.scalar(year, INSTANT) for year in YEARS)
    outside = pc.index(pc.or_(pc.less(instants, first), pc.greater(instants, last)), True).as_py()
    if outside >= 0:
        raise _outside(place, outside)
    return instants


def _to_micros(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.cast(column, options=pc.CastOptions(target_type=INSTANT, allow_time_truncate=True))


def _outside(place: Place, index: int) -> DataError:
    # Without the value: neither Python nor PostgreSQL can write it.
    row = place.first_row + index
    return DataError(f"{place} has a time outside the years 1 to 9999 in row {row} (the first row is 0): correct it")
