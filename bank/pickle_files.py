"""Load data frames from pickles safely.

A pickle names the callables that rebuild its object, so loading one runs code of its author's choice. This unpickler
only allows, by exact name, what pandas and numpy use to rebuild a data frame.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, Final

import pandas as pd
from pandas.compat import pickle_compat

from bank.errors import DataError, one_line

ALLOWED: Final = frozenset(
    {
        ("builtins", "slice"),
        ("__builtin__", "slice"),
        ("_codecs", "encode"),
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy.core.numeric", "_frombuffer"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "scalar"),
        ("numpy._core.numeric", "_frombuffer"),
        ("pandas", "DataFrame"),
        ("pandas.core.frame", "DataFrame"),
        ("pandas.core.internals.managers", "BlockManager"),
        ("pandas.core.internals.blocks", "new_block"),
        ("pandas._libs.internals", "_unpickle_block"),
        ("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked"),
        ("pandas.core.arrays.datetimes", "DatetimeArray"),
        ("pandas.core.indexes.base", "Index"),
        ("pandas.core.indexes.base", "_new_Index"),
        ("pandas.core.indexes.numeric", "Int64Index"),
        ("pandas.core.indexes.range", "RangeIndex"),
    }
)


class _Unpickler(pickle_compat.Unpickler):  # type: ignore[misc]  # pandas' own, which knows older frames
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}, which no data frame needs")
        return super().find_class(module, name)


def read_frame(path: Path) -> pd.DataFrame:
    """The data frame in a pickle. Raises `DataError` for any other content, without running it."""
    try:
        with path.open("rb") as file:
            frame = _Unpickler(file).load()
    except Exception as error:  # a damaged pickle may raise anything
        raise DataError(
            f"{path} cannot be read as a pickled data frame ({one_line(error)}): download it again or remove it"
        ) from error
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"{path} contains a {type(frame).__name__}, not a data frame: remove it, or store a data frame")
    return frame
