"""Convert the columns of pandas' data frames to Arrow, value by value."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from bank.casts import SHOWN
from bank.errors import DataError, one_line


def table_of(frame: pd.DataFrame, columns: Sequence[str], path: Path) -> pa.Table:
    """The named columns of a frame. Raises `DataError`, naming the file, the column and the row."""
    return pa.table({name: _from_pandas(frame[name], name, path) for name in columns})


def with_named_index(frame: pd.DataFrame, wanted: Sequence[str], path: Path) -> pd.DataFrame:
    """A frame whose index levels with a wanted name are columns, unless there is such a column already.

    Raises `DataError` for an index whose parts do not fit together.
    """
    index = frame.index
    if isinstance(index, pd.MultiIndex):
        try:
            # A pickled index is not verified, and its codes would be used without a check of their range.
            index = pd.MultiIndex(index.levels, index.codes, names=index.names)
        except ValueError as error:
            raise DataError(f"the index of {path} is damaged ({one_line(error)}): download it again") from error
    names = [name for name in index.names if name in wanted and name not in frame.columns]
    return frame.assign(**{name: index.get_level_values(list(index.names).index(name)) for name in names})


def _from_pandas(column: Any, name: str, path: Path) -> pa.Array | pa.ChunkedArray:
    """A column as an array; ids may be strings of digits, integers may be in an object column."""
    try:
        return _converted(column)
    except (pa.ArrowException, ArithmeticError, AttributeError, TypeError, ValueError) as error:
        row = _first_failure(column)
        value = repr(column.iloc[row])[:SHOWN]
        raise DataError(
            f"the column {name} of {path} cannot be read ({one_line(error)}): row {row} (the first row is 0) has "
            f"{value}: store values of one type in it"
        ) from error


def _converted(column: Any) -> pa.Array | pa.ChunkedArray:
    if not isinstance(column.dtype, np.dtype):
        return pa.Array.from_pandas(column)
    native = column.to_numpy()
    native = native.astype(native.dtype.newbyteorder("="), copy=False)
    # In plain float columns NaN is not turned into null, so that a NaN amount lands unmodified.
    return pa.array(native, from_pandas=native.dtype.kind != "f")


def _first_failure(column: Any) -> int:
    """The row with which conversion begins to fail, by bisection over the column's beginnings."""
    low, high = 0, len(column)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            _converted(column.iloc[:middle])
            low = middle
        except (pa.ArrowException, ArithmeticError, AttributeError, TypeError, ValueError):
            high = middle
    return low
