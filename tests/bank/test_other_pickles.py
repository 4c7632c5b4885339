"""Pickles of every kind of column that pandas 2 and 3 know."""

from __future__ import annotations

import base64
import gzip
import io
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import pytz

from bank.errors import DataError
from bank.pickle_files import read_frame
from bank.published_feed import PublishedFeed
from tests.bank.frames import frame
from tests.bank.test_pickle_files import Calls
from tests.bank.test_published_feed import NOW, rows_of

PANDAS_3: Final[dict[str, str]] = json.loads(Path(__file__).with_name("pandas3_pickles.json").read_text())
EMPTY: Final = "an empty day"


@pytest.mark.parametrize("name", sorted(PANDAS_3.keys() - {EMPTY}))
@pytest.mark.parametrize("packed", [True, False])
def test_a_pickle_of_pandas_3_is_read(tmp_path: Path, name: str, packed: bool) -> None:
    content = base64.b64decode(PANDAS_3[name])
    (tmp_path / "2018-04-01.pkl").write_bytes(content if packed else gzip.decompress(content))
    rows = rows_of(tmp_path)
    assert rows["transaction_id"].to_pylist() == [0, 1, 2, 3]
    assert rows["customer_id"].to_pylist() == [0, 1, 2, 0]
    assert rows["terminal_id"].to_pylist() == [7, 8, 9, 10]
    assert rows["amount"].to_pylist() == [0.01, 12.34, 57.16, 99.99]
    assert rows["fraud"].to_pylist() == [False, True, False, False]
    start = datetime(2018, 4, 1, tzinfo=UTC)
    assert rows["occurred_at"].to_pylist() == [start + timedelta(hours=6 * n) for n in range(4)]


def test_an_empty_day_of_pandas_3_is_a_day_without_payments(tmp_path: Path) -> None:
    frame().to_pickle(tmp_path / "a.pkl")
    (tmp_path / "b.pkl").write_bytes(base64.b64decode(PANDAS_3[EMPTY]))
    assert len(rows_of(tmp_path)) == 12


def in_zone(zone: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda made: made.assign(TX_DATETIME=made["TX_DATETIME"].dt.tz_localize("UTC").dt.tz_convert(zone))


def as_types(**types: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda made: made.astype(types)


def as_objects(name: str, convert: Callable[[Any], Any]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda made: made.assign(**{name: pd.Series([convert(value) for value in made[name]], dtype=object)})


def as_text_of(kind: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda made: made.assign(CUSTOMER_ID=made["CUSTOMER_ID"].astype(str).astype(kind))


KINDS: Final[dict[str, Callable[[pd.DataFrame], pd.DataFrame]]] = {
    "zone by pytz": in_zone("Europe/Paris"),
    "zone UTC": in_zone("UTC"),
    "zone by zoneinfo": in_zone(ZoneInfo("America/New_York")),
    "zone of an offset": in_zone(timezone(timedelta(hours=-7))),
    "datetime.timezone.utc": in_zone(UTC),
    "Int64": as_types(CUSTOMER_ID="Int64", TX_FRAUD="Int8"),
    "unsigned": as_types(CUSTOMER_ID="UInt16", TERMINAL_ID="uint32"),
    "boolean": as_types(TX_FRAUD="boolean"),
    "Float64": as_types(TX_AMOUNT="Float64", CUSTOMER_ID="Float32"),
    "category": as_types(CUSTOMER_ID="category", TX_FRAUD="category", TX_AMOUNT="category", TX_DATETIME="category"),
    "category of text": as_text_of("category"),
    "string": as_text_of("string"),
    "string of Python": as_text_of("string[python]"),
    "string of Arrow": as_text_of("string[pyarrow]"),
    "str of pandas 3": as_text_of(pd.StringDtype("pyarrow", na_value=np.nan)),
    "Decimal": as_objects("TX_AMOUNT", lambda value: Decimal(f"{value:.2f}")),
    "ids as Decimal": as_objects("CUSTOMER_ID", Decimal),
    "integers as objects": as_objects("CUSTOMER_ID", int),
    "numpy integers as objects": as_objects("CUSTOMER_ID", np.int32),
    "Timestamps": as_objects("TX_DATETIME", pd.Timestamp),
    "datetimes": as_objects("TX_DATETIME", pd.Timestamp.to_pydatetime),
    "datetimes of a zone": as_objects("TX_DATETIME", lambda at: at.tz_localize("UTC").to_pydatetime()),
    "big-endian": as_types(CUSTOMER_ID=">i4", TX_AMOUNT=">f8", TX_FRAUD=">f4"),
    "seconds": as_types(TX_DATETIME="datetime64[s]"),
    "Arrow": as_types(
        CUSTOMER_ID=pd.ArrowDtype(pa.int16()),
        TERMINAL_ID=pd.ArrowDtype(pa.string()),
        TX_AMOUNT=pd.ArrowDtype(pa.decimal128(12, 2)),
        TX_DATETIME=pd.ArrowDtype(pa.timestamp("ms", "Asia/Tokyo")),
        TX_FRAUD=pd.ArrowDtype(pa.bool_()),
    ),
    "Arrow's dictionary": as_text_of(pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))),
    "Arrow's string_view": as_text_of(pd.ArrowDtype(pa.string_view())),
    "Arrow's decimal256": as_types(TX_AMOUNT=pd.ArrowDtype(pa.decimal256(60, 2))),
    "a named index": lambda made: made.set_index("TRANSACTION_ID"),
    "an index of times": lambda made: made.set_index("TX_DATETIME"),
    "an index of two": lambda made: made.set_index(["CUSTOMER_ID", "TRANSACTION_ID"]),
    "an index of all": lambda made: made.set_index(list(made.columns)),
    "an index of other times": lambda made: made.set_index(pd.date_range("2018-04-01", periods=12, freq="6h")),
    "an index of categories": lambda made: made.astype({"CUSTOMER_ID": "category"}).set_index("CUSTOMER_ID"),
    "an index of months": lambda made: made.set_index(pd.period_range("2018-04", periods=12, freq="M")),
    "an index of durations": lambda made: made.set_index(pd.timedelta_range("1h", periods=12)),
    "an index of month ends": lambda made: made.set_index(pd.date_range("2018-04-01", periods=12, freq="ME")),
    "an index with a name twice": lambda made: (
        made.set_index(["CUSTOMER_ID", "TERMINAL_ID"], drop=False)
        .drop(columns="CUSTOMER_ID")
        .rename_axis(["CUSTOMER_ID", "CUSTOMER_ID"])
    ),
    "further columns": lambda made: made.assign(
        A=pd.Timedelta("1h"), B=pd.Period("2018-04", "M"), C=[time(1)] * 12, D=[UUID(int=1)] * 12, E=[(1, "x")] * 12
    ),
    "an index and a column": lambda made: made.set_index("TRANSACTION_ID", drop=False),
    "columns of categories": lambda made: made.set_axis(pd.CategoricalIndex(made.columns), axis=1),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_pickle_of_any_kind_of_column_is_read(tmp_path: Path, kind: str) -> None:
    (tmp_path / "plain").mkdir()
    frame().to_parquet(tmp_path / "plain/a.parquet")
    (tmp_path / "kind").mkdir()
    KINDS[kind](frame()).to_pickle(tmp_path / "kind/a.pkl")
    assert rows_of(tmp_path / "kind").equals(rows_of(tmp_path / "plain"))


@pytest.mark.parametrize(
    ("name", "kind", "missing"),
    [
        ("CUSTOMER_ID", "Int64", pd.NA), ("CUSTOMER_ID", "string", pd.NA), ("CUSTOMER_ID", "category", None),
        ("CUSTOMER_ID", object, None), ("CUSTOMER_ID", object, float("nan")), ("CUSTOMER_ID", object, pd.NA),
        ("CUSTOMER_ID", "int64[pyarrow]", pd.NA), ("TX_DATETIME", "datetime64[s]", pd.NaT),
        ("TX_DATETIME", pd.ArrowDtype(pa.timestamp("us", "UTC")), pd.NA), ("TX_DATETIME", object, pd.NaT),
        ("TX_AMOUNT", "Float64", pd.NA), ("TX_FRAUD", "boolean", pd.NA),
    ],
)  # fmt: skip
def test_a_missing_value_of_any_kind_is_null(tmp_path: Path, name: str, kind: Any, missing: Any) -> None:
    made = frame()
    made[name] = made[name].astype(kind)
    made.loc[3, name] = missing
    made.to_pickle(tmp_path / "a.pkl")
    ours = {"CUSTOMER_ID": "customer_id", "TX_DATETIME": "occurred_at", "TX_AMOUNT": "amount", "TX_FRAUD": "fraud"}
    assert rows_of(tmp_path)[ours[name]].is_null().to_pylist() == [row == 3 for row in range(12)]


REFUSED: Final[dict[str, tuple[pd.DataFrame, str]]] = {
    "an object of another type": (
        frame().assign(CUSTOMER_ID=["1"] + [1] * 11),
        r"CUSTOMER_ID of .* cannot be read .*: row 1 .* has 1: store",
    ),
    "an integer beyond int64": (
        as_objects("CUSTOMER_ID", lambda value: value + 2**70 * (value == 3))(frame()),
        r"CUSTOMER_ID of .*: row 3 .* has 118",
    ),
    "floats beyond 2^53": (
        frame().assign(CUSTOMER_ID=[None] + [4_000_000_000_000_000_001] * 11).astype({"CUSTOMER_ID": float}),
        r"CUSTOMER_ID of .* as floats, .*: row 1 .* has 4e\+18",
    ),
    "a complex amount": (frame().assign(TX_AMOUNT=1j), r"TX_AMOUNT of .* cannot be read"),
    "periods": (frame().assign(TX_DATETIME=pd.Period("2018-04-01", "D")), r"TX_DATETIME of .*: store "),
    "intervals": (frame().assign(X=pd.cut(np.arange(12), 3)), r"refers to pandas.*: save it as Parquet"),
    "an object of a class": (
        frame().assign(X=[Path("x")] * 12),
        r"refers to pathlib.*: save it as Parquet",
    ),
    "a zone of dateutil": (in_zone("dateutil/Europe/Paris")(frame()), r"refers to dateutil.*: save it as Parquet"),
    "sparse columns": (frame().astype({"TX_FRAUD": "Sparse[int]"}), r"refers to pandas.*: save it as Parquet"),
    "nested columns of Arrow": (
        frame().assign(X=pd.array([[1]] * 12, pd.ArrowDtype(pa.list_(pa.int64())))),
        r"list_, which .*: save it as Parquet",
    ),
    "columns of two levels": (
        frame().set_axis(pd.MultiIndex.from_product([["a"], frame().columns]), axis=1),
        "none of",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_named(tmp_path: Path, case: str, capsys: pytest.CaptureFixture[str]) -> None:
    spoilt, words = REFUSED[case]
    spoilt.to_pickle(tmp_path / "a.pkl")
    with pytest.raises(DataError, match=words if words != "none of" else "no payments in") as caught:
        PublishedFeed(tmp_path, NOW).days()
    assert "\n" not in str(caught.value)
    assert words != "none of" or "a.pkl has none of the payment columns" in capsys.readouterr().err


def test_buffers_outside_the_pickle_are_named(tmp_path: Path) -> None:
    made = frame()
    out: list[pickle.PickleBuffer] = []
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(made, protocol=5, buffer_callback=out.append))
    assert out
    with pytest.raises(DataError, match=r"a\.pkl cannot be read as a pickled data frame .*: save it as Parquet"):
        PublishedFeed(tmp_path, NOW).days()


def arrow(*data: Any) -> Calls:
    return Calls(pa.lib._restore_array, data)  # type: ignore[attr-defined]


def buffer(content: bytes) -> Any:
    return pa.py_buffer(content)


CORRUPT: Final[dict[str, Calls]] = {
    "offsets beyond the text": arrow(
        pa.string(), 1, 0, 0, (None, buffer(b"\0\0\0\0\xff\xff\xff\x7f"), buffer(b"a")), [], None
    ),
    "a buffer too short": arrow(pa.int64(), 1_000_000, 0, 0, (None, buffer(b"12345678")), [], None),
    "too few buffers": arrow(pa.string(), 1, 0, 0, (None,), [], None),
    "no buffer": arrow(pa.int64(), 9, 0, 0, (None, None), [], None),
    "a negative length": arrow(pa.int64(), -5, 0, 0, (None, buffer(b"12345678")), [], None),
    "a code beyond the dictionary": arrow(
        pa.dictionary(pa.int8(), pa.int64()),
        1,
        0,
        0,
        (None, buffer(b"\x7f")),
        [],
        (pa.int64(), 0, 0, 0, (None, None), [], None),
    ),
    "a view beyond the text": arrow(
        pa.string_view(), 1, 0, 0, (None, buffer((99).to_bytes(4, "little") + b"abcd" + bytes(4) + bytes(4))), [], None
    ),
}


@pytest.mark.parametrize("case", CORRUPT)
def test_corrupt_arrow_columns_are_refused_before_they_are_used(tmp_path: Path, case: str) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(CORRUPT[case]))
    with pytest.raises(DataError, match=r"a\.pkl cannot be read as a pickled data frame"):
        read_frame(tmp_path / "a.pkl")


@dataclass(frozen=True)
class WithState:
    """Pickles as a value followed by a state, which unpickling would set on the value itself."""

    value: Any

    def __reduce__(self) -> tuple[Any, ...]:
        return _itself, (self.value,), (None, {"spoilt": True})


def _itself(value: Any) -> Any:
    return value


class _Spoiling(pickle._Pickler):  # type: ignore[name-defined,misc]
    """Writes the value of a `WithState` instead of a call that returns it."""

    def save_reduce(self, func: Any, args: Any, state: Any = None, *others: Any, **named: Any) -> None:
        if func is not _itself:
            return super().save_reduce(func, args, state, *others, **named)  # type: ignore[no-any-return]
        self.save(args[0])
        self.save(state)
        return self.write(pickle.BUILD)  # type: ignore[no-any-return]


@pytest.mark.parametrize("shared", [pd.DataFrame, pytz.UTC, pd.NA, ZoneInfo("Europe/Paris"), np.dtype, Decimal])
def test_a_pickle_cannot_change_what_others_use(tmp_path: Path, shared: Any) -> None:
    content = io.BytesIO()
    _Spoiling(content, protocol=4).dump(WithState(shared))
    (tmp_path / "a.pkl").write_bytes(content.getvalue())
    with pytest.raises(DataError, match="it changes a class, a function or a value that others use"):
        read_frame(tmp_path / "a.pkl")
    assert not hasattr(shared, "spoilt")


def test_an_index_whose_codes_do_not_fit_is_named(tmp_path: Path) -> None:
    """pandas does not verify a pickled index, and would read beyond its levels."""
    made = frame().set_index(["TRANSACTION_ID", "CUSTOMER_ID"])
    codes = [np.full(12, 100, np.int8), *made.index.codes[1:]]  # type: ignore[attr-defined]
    made.index = pd.MultiIndex(made.index.levels, codes, names=made.index.names, verify_integrity=False)  # type: ignore[attr-defined]
    made.to_pickle(tmp_path / "a.pkl")
    with pytest.raises(DataError, match=r"the index of .*a\.pkl is damaged .*: download it again"):
        PublishedFeed(tmp_path, NOW).days()
