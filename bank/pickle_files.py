"""Load data frames from pickles safely.

A pickle names the callables that rebuild its object, so loading one runs code of its author's choice. This unpickler
only allows, by exact name, what pandas, numpy and pyarrow use to rebuild the columns of a data frame.
"""

from __future__ import annotations

import pickle
from datetime import tzinfo
from pathlib import Path
from types import BuiltinFunctionType, FunctionType
from typing import Any, ClassVar, Final

import pandas as pd
from pandas._libs.arrays import NDArrayBacked
from pandas.compat import pickle_compat

from bank.errors import DataError, one_line
from bank.packed_files import open_unpacked
from bank.pickle_guards import GUARDS
from bank.pickle_names import ALLOWED

SHARED: Final = (type, FunctionType, BuiltinFunctionType, tzinfo, type(pd.NA))
"""Objects whose attributes a pickle could otherwise set for the rest of the process."""


class _Unpickler(pickle_compat.Unpickler):  # type: ignore[misc]  # pandas' own, which knows older frames
    dispatch: ClassVar[dict[int, Any]] = dict(pickle_compat.Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        if guard := GUARDS.get((module, name)):
            return guard
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}, which no data frame needs for payments")
        return super().find_class(module, name)

    def load_build(self) -> None:
        if isinstance(self.stack[-2], SHARED):
            raise pickle.UnpicklingError("it changes a class, a function or a value that others use")
        if isinstance(self.stack[-2], NDArrayBacked) and isinstance(self.stack[-1], tuple) and len(self.stack[-1]) == 2:
            # pandas 3 leaves out the attributes of an array if it has none; pandas 2 expects them.
            self.stack[-1] += ({},)
        super().load_build()

    dispatch[pickle.BUILD[0]] = load_build


def read_frame(path: Path) -> pd.DataFrame:
    """The data frame in a pickle, even if compressed. Raises `DataError` for any other content, without running it."""
    try:
        with open_unpacked(path) as file:
            frame = _Unpickler(file).load()
    except Exception as error:  # a damaged pickle may raise anything
        raise DataError(
            f"{path} cannot be read as a pickled data frame ({one_line(error)}): save it as Parquet "
            "(frame.to_parquet), download it again or remove it"
        ) from error
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"{path} contains a {type(frame).__name__}, not a data frame: remove it, or store a data frame")
    return frame
