"""Functions that stand in for those that a pickle names, and check what those trust."""

from __future__ import annotations

import pickle
from typing import Any, Final
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
from pandas.core.indexes.datetimes import _new_DatetimeIndex


def restored_array(data: tuple[Any, ...]) -> pa.Array:
    """An Arrow array of a flat type, of a pickle's buffers; pyarrow would trust the offsets in them and read beyond.

    Raises `pickle.UnpicklingError` for nested types, and what pyarrow raises for inconsistent buffers.
    """
    kind, length, _, offset, buffers, children, dictionary = data
    if children:
        raise pickle.UnpicklingError(f"it has a column of the nested type {kind}")
    if dictionary is None:
        array = pa.Array.from_buffers(kind, length, buffers, offset=offset)
    else:
        codes = pa.Array.from_buffers(kind.index_type, length, buffers, offset=offset)
        array = pa.DictionaryArray.from_arrays(codes, restored_array(dictionary), ordered=kind.ordered)
    array.validate(full=True)
    return array


def zone_maker(owner: Any, name: Any) -> Any:
    """What `getattr` is needed for: the function that makes a time zone by its name."""
    if owner is ZoneInfo and name == "_unpickle":
        return ZoneInfo._unpickle  # type: ignore[attr-defined]
    raise pickle.UnpicklingError(f"it refers to {owner}.{name}, which no data frame needs for payments")


def datetime_index(kind: type[pd.DatetimeIndex], parts: dict[str, Any]) -> pd.DatetimeIndex:
    """An index of times without its frequency: pandas 3 stores it here, pandas 2 in the array, and neither needs it."""
    return _new_DatetimeIndex(kind, {name: value for name, value in parts.items() if name != "freq"})


def bare_object(kind: type, base: type, state: None) -> Any:
    """An object without attributes, as the oldest protocols make it. They could also call the constructor of a base."""
    if base is not object or state is not None:
        raise pickle.UnpicklingError(f"it makes a {kind.__name__} from {base}")
    return object.__new__(kind)


GUARDS: Final = {
    ("pyarrow.lib", "_restore_array"): restored_array,
    ("pandas.core.indexes.datetimes", "_new_DatetimeIndex"): datetime_index,
    ("copyreg", "_reconstructor"): bare_object,
    ("copy_reg", "_reconstructor"): bare_object,
    ("builtins", "getattr"): zone_maker,
    ("__builtin__", "getattr"): zone_maker,
}
"""What is used instead of a name that is not allowed itself."""
