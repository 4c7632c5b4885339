"""Parquet of any writer: every type is read exactly, or the file, column, row and value are named."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bank.casts import Place, whole_numbers
from bank.errors import DataError
from bank.published_feed import PublishedFeed
from tests.bank.frames import frame
from tests.bank.test_published_feed import NOW, rows_of


def write(path: Path, **columns: pa.Array) -> None:
    table = pa.Table.from_pandas(frame(), preserve_index=False)
    for name, column in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, column)
    pq.write_table(table, path)


def of(kind: pa.DataType, values: list[Any]) -> pa.Array:
    return pa.array((values * 12)[:12], kind)


IDS = list(range(100, 112))
READ: dict[str, pa.Array] = {
    "string_view": pa.array(map(str, IDS), pa.string_view()),
    "large_string": pa.array(map(str, IDS), pa.large_string()),
    "dictionary of string": pa.array(map(str, IDS)).dictionary_encode(),
    "dictionary of int": pa.array(IDS).dictionary_encode(),
    "uint64": pa.array(IDS, pa.uint64()),
    "double": pa.array(IDS, pa.float64()),
    "decimal128": pa.array(map(Decimal, IDS), pa.decimal128(38, 0)),
    "decimal128 with a scale": pa.array(map(Decimal, IDS), pa.decimal128(20, 2)),
    "decimal256": pa.array(map(Decimal, IDS), pa.decimal256(60, 0)),
}


@pytest.mark.parametrize("kind", READ)
def test_ids_of_any_type_are_read(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "a.parquet", CUSTOMER_ID=READ[kind])
    assert rows_of(tmp_path)["customer_id"].to_pylist() == IDS


def test_ids_are_read_through_every_encoding_of_arrow() -> None:
    """Those that Parquet cannot store, but pickles of Arrow columns can."""
    text = pa.array(map(str, IDS), pa.string_view())
    assert whole_or_none(pa.DictionaryArray.from_arrays(pa.array(range(12), pa.uint32()), text)) == IDS
    assert whole_or_none(pc.run_end_encode(pa.array([7, 7, 7, None, 8]))) == [7, 7, 7, None, 8]
    views = pa.array([b"7"], pa.binary_view())
    assert whole_or_none(pa.DictionaryArray.from_arrays(pa.array([0]), views)) is None


def test_ids_of_nineteen_digits_are_read_exactly(tmp_path: Path) -> None:
    cards = [4_000_000_000_000_000_001 + n for n in range(12)]
    for name, column in (
        ("int", pa.array(cards)),
        ("text", pa.array(map(str, cards))),
        ("decimal", pa.array(map(Decimal, cards), pa.decimal128(19, 0))),
    ):
        write(tmp_path / f"{name}.parquet", CUSTOMER_ID=column)
        assert rows_of(tmp_path / f"{name}.parquet")["customer_id"].to_pylist() == cards


REFUSED: dict[str, tuple[str, pa.Array, str]] = {
    "19 digits as floats": (
        "CUSTOMER_ID",
        of(pa.float64(), [1.0, 4e18]),
        r"numbers of 9,007,199,254,740,992 or more as floats, .*: row 1 .* has 4e\+18: store them as integers or text",
    ),
    "2^53": ("CUSTOMER_ID", of(pa.float64(), [2.0**53]), r"row 0 .* has 9007199254740992\.0"),
    "-2^53": ("CUSTOMER_ID", of(pa.float64(), [1.0, -(2.0**53)]), r"row 1 .* has -9007199254740992\.0"),
    "2^24 as narrow floats": (
        "CUSTOMER_ID",
        of(pa.float32(), [3.0, 2.0**24]),
        r"numbers of 16,777,216 or more .*: row 1 ",
    ),
    "2^11 as half floats": ("CUSTOMER_ID", of(pa.float16(), [3.0, 2048.0]), r"numbers of 2,048 or more .*: row 1 "),
    "infinity": ("TERMINAL_ID", of(pa.float64(), [1.0, float("inf")]), r"row 1 \(the first row is 0\) has inf"),
    "a fraction": ("TERMINAL_ID", of(pa.float64(), [1.0, 1.0, 1.5]), r"cannot be read as int64: row 2 .* has 1\.5: "),
    "uint64 beyond int64": (
        "TERMINAL_ID",
        of(pa.uint64(), [1, 2**63]),
        r"cannot be read as int64: row 1 .* has 9223372036854775808",
    ),
    "decimal beyond int64": ("TRANSACTION_ID", of(pa.decimal256(60, 0), [1, 10**40]), "row 1 .* has 1000"),
    "a fraction of a decimal": (
        "TRANSACTION_ID",
        of(pa.decimal128(9, 2), [Decimal(1), Decimal("1.50")]),
        r"row 1 .* has 1\.50",
    ),
    "text": ("CUSTOMER_ID", of(pa.string_view(), ["1", "C-17"]), r"cannot be read as int64: row 1 .* has 'C-17'"),
    "leading zeros": (
        "CUSTOMER_ID",
        of(pa.string(), ["7", "007"]),
        r"row 1 .* has '007': store whole numbers without leading",
    ),
    "hexadecimal": ("CUSTOMER_ID", of(pa.string(), ["7", "0x7"]), r"row 1 .* has '0x7'"),
    "spaces": ("CUSTOMER_ID", of(pa.string(), [" 7"]), r"row 0 .* has ' 7'"),
    "other digits": ("CUSTOMER_ID", of(pa.string(), ["7", "٧"]), r"row 1 .* has '٧'"),
    "a line break": ("CUSTOMER_ID", of(pa.string(), ["7", "7\n"]), r"row 1 .* has '7\\n'"),
    "text beyond int64": ("CUSTOMER_ID", of(pa.string(), ["7", "9" * 60]), r"row 1 .* has '9{39}\.\.\.: "),
    "empty text": ("CUSTOMER_ID", of(pa.string(), ["7", ""]), r"row 1 .* has ''"),
    "binary": ("CUSTOMER_ID", of(pa.binary_view(), [b"7"]), r"has type binary.*: store it as integers"),
    "flags as ids": ("CUSTOMER_ID", of(pa.bool_(), [True]), r"has type bool: store it as integers"),
    "nested": (
        "CUSTOMER_ID",
        of(pa.struct([("id", pa.int64())]), [{"id": 1}]),
        r"has type struct<.*: store it as integers",
    ),
    "a list": ("TX_AMOUNT", of(pa.list_(pa.float64()), [[1.0]]), r"has type list<.*: store it as numbers"),
    "an amount as text": ("TX_AMOUNT", of(pa.string_view(), ["1.00"]), r"has type string_view: store it as numbers"),
    "an amount that floats cannot hold": (
        "TX_AMOUNT",
        of(pa.int64(), [1, 2**53 + 1]),
        r"row 1 .* has 9007199254740993",
    ),
    "half a fraud": ("TX_FRAUD", of(pa.float64(), [1.0, 0.5]), r"cannot be read as int64: row 1 .* has 0\.5"),
    "a date": ("TX_DATETIME", of(pa.date32(), [17_000]), r"has type date32.*: store it as timestamps"),
    "a far time": ("TX_DATETIME", of(pa.timestamp("s"), [0, 10**14]), r"outside the years 1 to 9999 in row 1 "),
    "a farther time": ("TX_DATETIME", of(pa.timestamp("ms"), [0, 0, 10**18]), r"outside the years 1 to 9999 in row 2 "),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_value_that_would_change_is_named(tmp_path: Path, case: str) -> None:
    name, column, words = REFUSED[case]
    write(tmp_path / "a.parquet", **{name: column})
    with pytest.raises(DataError, match=rf"the column {name} of .*a\.parquet .*{words}") as caught:
        PublishedFeed(tmp_path, NOW).days()
    assert "\n" not in str(caught.value)


WHOLE = st.integers(-(2**64), 2**64)


@given(st.lists(st.none() | WHOLE | st.integers(-(2**53), 2**53), max_size=8))
@example([2**53]).via("the first float that may have been rounded")
@example([2**63 - 1, -(2**63)]).via("the limits of int64")
def test_whole_numbers_are_the_same_or_refused(numbers: list[int | None]) -> None:
    """As text, decimals and floats; a float is refused as soon as it could stand for two numbers."""
    fits = all(n is None or -(2**63) <= n < 2**63 for n in numbers)
    exact = all(n is None or abs(n) < 2**53 for n in numbers)
    text = pa.array([None if n is None else str(n) for n in numbers], pa.string_view())
    decimals = pa.array([None if n is None else Decimal(n) for n in numbers], pa.decimal256(40, 0))
    floats = pa.array([None if n is None else float(n) for n in numbers], pa.float64())
    for column, readable in ((text, fits), (decimals, fits), (floats, exact)):
        read = whole_or_none(column)
        assert read == (numbers if readable else None)


@given(st.text(alphabet="0123456789-+ex_. ٣\n", max_size=6))
def test_text_is_a_whole_number_only_in_its_shortest_form(text: str) -> None:
    read = whole_or_none(pa.array([text]))
    assert read is None or [str(number) for number in read if number is not None] == [text]


def whole_or_none(column: pa.Array) -> list[int | None] | None:
    try:
        return whole_numbers(pa.chunked_array([column]), Place("CUSTOMER_ID", Path("x"))).to_pylist()  # type: ignore[no-any-return]
    except DataError:
        return None


def write_int96(path: Path, times: list[datetime | None]) -> None:
    table = pa.Table.from_pandas(frame(1, len(times)), preserve_index=False)
    kind = pa.timestamp("us")
    times_column = pa.array(times, kind)
    table = table.set_column(table.schema.get_field_index("TX_DATETIME"), "TX_DATETIME", times_column)
    pq.write_table(table, path, use_deprecated_int96_timestamps=True)


def test_old_times_are_read_beyond_the_range_of_nanoseconds(tmp_path: Path) -> None:
    """As nanoseconds, the year 2600 would become 2015."""
    times = [
        datetime(2018, 4, 1, 1, 2, 3, 456_789),
        datetime(2600, 1, 1),
        datetime(1400, 1, 1),
        datetime(9999, 12, 31),
        None,
    ]
    write_int96(tmp_path / "a.parquet", times)
    found = rows_of(tmp_path)
    assert found["occurred_at"].to_pylist() == [time and time.replace(tzinfo=UTC) for time in times]
    assert set(found["arrived_at"].to_pylist()) == {times[0].replace(tzinfo=UTC)}  # type: ignore[union-attr]


JULIAN_EPOCH = 2_440_588


def int96(day: int, nanos: int) -> bytes:
    return nanos.to_bytes(8, "little") + (day + JULIAN_EPOCH).to_bytes(4, "little")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(st.integers(120_000_000, 2**32 - 1 - JULIAN_EPOCH))
def test_old_times_beyond_microseconds_are_named(tmp_path: Path, day: int) -> None:
    """Arrow wraps them around, which may give a time that looks right."""
    write_int96(tmp_path / "a.parquet", [datetime(2018, 4, 1), datetime(2018, 4, 2)])
    content = (tmp_path / "a.parquet").read_bytes()
    right = int96(17_623, 0)
    assert content.count(right) == 1
    (tmp_path / "a.parquet").write_bytes(content.replace(right, int96(day, 0)))
    with pytest.raises(DataError, match=r"TX_DATETIME of .* has a time outside the years 1 to 9999 in row 1 "):
        PublishedFeed(tmp_path, NOW).days()


def test_a_value_that_the_disk_changed_is_found_by_the_checksum(tmp_path: Path) -> None:
    """Of uncompressed pages; Spark writes checksums, pyarrow on request."""
    path = tmp_path / "a.parquet"
    table = pa.Table.from_pandas(frame().assign(CUSTOMER_ID=4_711), preserve_index=False)
    pq.write_table(table, path, compression="none", use_dictionary=False, write_page_checksum=True)
    assert len(rows_of(tmp_path)) == 12
    number = (4_711).to_bytes(8, "little") * 3
    assert number in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(number, (4_712).to_bytes(8, "little") * 3, 1))
    with pytest.raises(DataError, match=r"a\.parquet is damaged \(.*checksum.*\): download it again"):
        PublishedFeed(tmp_path, NOW).days()


def test_rows_are_numbered_through_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bank.parquet_files.BATCH_ROWS", 5)
    write(tmp_path / "a.parquet", CUSTOMER_ID=pa.array([1.0] * 11 + [1.5]))
    with pytest.raises(DataError, match=r"row 11 \(the first row is 0\) has 1\.5"):
        PublishedFeed(tmp_path, NOW).days()
    write(tmp_path / "a.parquet", TX_DATETIME=pa.array([0] * 7 + [10**14] * 5, pa.timestamp("s")))
    with pytest.raises(DataError, match="in row 7 "):
        PublishedFeed(tmp_path, NOW).days()


def test_a_codec_that_is_not_here_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame().to_parquet(tmp_path / "a.parquet")

    def unsupported(*_: Any, **__: Any) -> Any:
        raise pa.ArrowNotImplementedError("Support for codec 'lzo' not built")

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", unsupported)
    with pytest.raises(
        DataError, match=r"a\.parquet cannot be read \(Support for codec 'lzo' not built\): write it again"
    ):
        PublishedFeed(tmp_path, NOW).days()
