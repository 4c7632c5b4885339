"""What a pickled data frame may refer to, by exact name: what pandas, numpy and pyarrow rebuild columns with.

None of it runs code of the pickle, imports a module that it names or writes a file. Several names are for the same
thing: libraries moved them, and pandas 3 writes public ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

_INTEGERS: Final = ("Int8Dtype", "Int16Dtype", "Int32Dtype", "Int64Dtype")
_UNSIGNED: Final = ("UInt8Dtype", "UInt16Dtype", "UInt32Dtype", "UInt64Dtype")
_FLOATS: Final = ("Float32Dtype", "Float64Dtype")
_TICKS: Final = ("Day", "Hour", "Minute", "Second", "Milli", "Micro", "Nano")
_OFFSETS: Final = (*_TICKS, "BusinessDay", "Week", "MonthBegin", "MonthEnd", "QuarterEnd", "YearBegin", "YearEnd")

PLAIN: Final = frozenset(
    {
        ("builtins", "slice"),
        ("builtins", "bytearray"),
        ("builtins", "object"),
        ("__builtin__", "bytearray"),
        ("__builtin__", "object"),
        ("__builtin__", "slice"),
        ("_codecs", "encode"),
        ("datetime", "date"),
        ("datetime", "datetime"),
        ("datetime", "time"),
        ("datetime", "timedelta"),
        ("datetime", "timezone"),
        ("dateutil.tz.tz", "tzutc"),
        ("decimal", "Decimal"),
        ("pytz", "FixedOffset"),
        ("pytz", "_UTC"),
        ("pytz", "_p"),
        ("uuid", "SafeUUID"),
        ("uuid", "UUID"),
        ("zoneinfo", "ZoneInfo"),
    }
)
"""Values of Python's own types, and time zones by name."""


def _names(module: str, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    return ((module, name) for name in names)


NUMPY: Final = frozenset(
    {
        *_names("numpy", ("dtype", "ndarray")),
        *(
            (f"numpy.{core}.{module}", name)
            for core in ("core", "_core")
            for module, name in (("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer"))
        ),
    }
)
PANDAS: Final = frozenset(
    {
        *_names("pandas", ("DataFrame", "Index", "RangeIndex", "MultiIndex", "DatetimeIndex", "CategoricalIndex")),
        *_names("pandas", ("NA", "Timestamp", "Categorical", "CategoricalDtype", "DatetimeTZDtype", "StringDtype")),
        *_names("pandas", ("ArrowDtype", "BooleanDtype", *_INTEGERS, *_UNSIGNED, *_FLOATS)),
        *_names("pandas.arrays", ("DatetimeArray", "Categorical", "IntegerArray", "FloatingArray", "BooleanArray")),
        *_names("pandas", ("Period", "PeriodDtype", "PeriodIndex", "Timedelta", "TimedeltaIndex")),
        *_names("pandas.arrays", ("PeriodArray", "TimedeltaArray")),
        *_names("pandas.arrays", ("StringArray", "ArrowStringArray", "ArrowExtensionArray")),
        *_names("pandas.core.frame", ("DataFrame",)),
        *_names("pandas.core.internals.managers", ("BlockManager",)),
        *_names("pandas.core.internals.blocks", ("new_block",)),
        *_names("pandas._libs.internals", ("_unpickle_block",)),
        *_names("pandas._libs.arrays", ("__pyx_unpickle_NDArrayBacked",)),
        *_names("pandas._libs.missing", ("NA",)),
        *_names("pandas._libs.tslibs.nattype", ("_nat_unpickle", "__nat_unpickle")),
        *_names("pandas._libs.tslibs.timedeltas", ("_timedelta_unpickle", "Timedelta")),
        *_names("pandas._libs.tslibs.timestamps", ("Timestamp", "_unpickle_timestamp")),
        *_names("pandas._libs.tslibs.offsets", _OFFSETS),
        *_names("pandas.core.arrays.arrow.array", ("ArrowExtensionArray",)),
        *_names("pandas.core.arrays.boolean", ("BooleanArray", "BooleanDtype")),
        *_names("pandas.core.arrays.categorical", ("Categorical",)),
        *_names("pandas.core.arrays.datetimes", ("DatetimeArray",)),
        *_names("pandas.core.arrays.floating", ("FloatingArray", *_FLOATS)),
        *_names("pandas.core.arrays.integer", ("IntegerArray", *_INTEGERS, *_UNSIGNED)),
        *_names("pandas.core.arrays.string_", ("StringArray", "StringArrayNumpySemantics", "StringDtype")),
        *_names("pandas.core.arrays.string_arrow", ("ArrowStringArray", "ArrowStringArrayNumpySemantics")),
        *_names("pandas.core.arrays.period", ("PeriodArray",)),
        *_names("pandas.core.arrays.timedeltas", ("TimedeltaArray",)),
        *_names("pandas.core.dtypes.dtypes", ("ArrowDtype", "CategoricalDtype", "DatetimeTZDtype", "PeriodDtype")),
        *_names("pandas.core.indexes.base", ("Index", "_new_Index")),
        *_names("pandas.core.indexes.category", ("CategoricalIndex",)),
        *_names("pandas.core.indexes.datetimes", ("DatetimeIndex",)),
        *_names("pandas.core.indexes.frozen", ("FrozenList",)),
        *_names("pandas.core.indexes.multi", ("MultiIndex",)),
        *_names("pandas.core.indexes.numeric", ("Int64Index", "UInt64Index", "Float64Index")),
        *_names("pandas.core.indexes.period", ("PeriodIndex", "_new_PeriodIndex")),
        *_names("pandas.core.indexes.range", ("RangeIndex",)),
        *_names("pandas.core.indexes.timedeltas", ("TimedeltaIndex",)),
    }
)
PYARROW: Final = frozenset(
    _names(
        # Only flat types.
        "pyarrow.lib",
        (
            "type_for_alias",
            "timestamp",
            "decimal128",
            "decimal256",
            "dictionary",
            "binary",
            "py_buffer",
            "chunked_array",
        ),
    )
)
ALLOWED: Final = PLAIN | NUMPY | PANDAS | PYARROW
