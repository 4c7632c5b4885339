"""Published payments: all variants of the format are read alike, and anything else is named."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bank.arrivals import with_arrivals
from bank.columns import _without_noise
from bank.errors import DataError
from bank.feed import BATCH_SCHEMA, INSTANT, reports_of
from bank.parquet_files import BATCH_ROWS
from bank.published_feed import PublishedFeed
from contracts.transaction import EPOCH, MAX_CLOCK_SKEW
from tests.bank.frames import frame

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def rows_of(folder: Path, now: datetime = NOW) -> pa.Table:
    return pa.concat_tables([batch.rows for batch in PublishedFeed(folder, now).batches()])


def spelt(spelling: str) -> pa.Table:
    table = pa.Table.from_pandas(frame(), preserve_index=False)
    casts: dict[str, dict[str, pa.DataType]] = {
        "as published": {"TX_DATETIME": pa.timestamp("us"), "CUSTOMER_ID": pa.int32(), "TX_FRAUD": pa.int8()},
        "narrow": {"TX_AMOUNT": pa.float32(), "TERMINAL_ID": pa.uint16(), "TX_FRAUD": pa.bool_()},
        "decimal": {"TX_AMOUNT": pa.decimal128(12, 2), "TX_DATETIME": pa.timestamp("s")},
        "text ids": {"CUSTOMER_ID": pa.string(), "TERMINAL_ID": pa.large_string(), "TRANSACTION_ID": pa.string()},
        "floats": {"CUSTOMER_ID": pa.float64(), "TX_FRAUD": pa.float32()},
        "with a zone": {"TX_DATETIME": pa.timestamp("ms", "Europe/Paris")},
    }
    for name, to in casts[spelling].items():
        column = table[name]
        # Naive times are UTC; another time zone must keep the instant.
        column = column.cast(pa.timestamp("ms", "UTC")) if name == "TX_DATETIME" and to.tz else column
        table = table.set_column(table.schema.get_field_index(name), name, column.cast(to, safe=False))
    return table


@pytest.mark.parametrize("spelling", ["as published", "narrow", "decimal", "text ids", "floats", "with a zone"])
def test_all_variants_of_the_format_are_read_alike(tmp_path: Path, spelling: str) -> None:
    pq.write_table(spelt(spelling), tmp_path / "payments.parquet")
    expected = frame()
    rows = rows_of(tmp_path)
    assert rows.schema == BATCH_SCHEMA
    assert rows["transaction_id"].to_pylist() == expected["TRANSACTION_ID"].tolist()
    assert rows["customer_id"].to_pylist() == expected["CUSTOMER_ID"].tolist()
    assert rows["terminal_id"].to_pylist() == expected["TERMINAL_ID"].tolist()
    assert rows["amount"].to_pylist() == expected["TX_AMOUNT"].tolist()
    assert rows["occurred_at"].to_pylist() == [t.tz_localize(UTC).to_pydatetime() for t in expected["TX_DATETIME"]]
    assert rows["arrived_at"] == rows["occurred_at"]
    assert rows["fraud"].to_pylist() == expected["TX_FRAUD"].astype(bool).tolist()


def test_repeated_text_is_read_as_numbers(tmp_path: Path) -> None:
    frame().astype({"CUSTOMER_ID": str}).astype({"CUSTOMER_ID": "category"}).to_parquet(tmp_path / "payments.parquet")
    assert rows_of(tmp_path)["customer_id"].to_pylist() == frame()["CUSTOMER_ID"].tolist()


def test_days_and_rows_are_counted_over_all_files(tmp_path: Path) -> None:
    frame(2).to_parquet(tmp_path / "b.parquet")
    frame(1, start="2018-05-02").to_parquet(tmp_path / "a.parquet")
    for name in ("2018-06-01.pkl", "2018-06-02.pkl"):
        frame(1, start=name[:10], first_id=50).to_pickle(tmp_path / name, protocol=4)
    (tmp_path / "README.md").write_text("not data")
    feed = PublishedFeed(tmp_path, NOW)
    assert [str(day) for day in feed.days()] == ["2018-04-01", "2018-04-02", "2018-05-02", "2018-06-01", "2018-06-02"]
    assert feed.total() == 20


def test_rows_are_numbered_through_a_long_file(tmp_path: Path) -> None:
    size = BATCH_ROWS + 10
    frame(1, size).to_parquet(tmp_path / "payments.parquet", row_group_size=100_000)
    batches = list(PublishedFeed(tmp_path, NOW).batches())
    assert len(batches) > 1
    numbers = np.concatenate([batch.rows["source_row"].to_numpy() for batch in batches])
    assert np.array_equal(numbers, np.arange(size))
    assert len({batch.source for batch in batches}) == 1


def test_the_same_content_twice_is_read_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame().to_parquet(tmp_path / "a.parquet")
    (tmp_path / "copy.parquet").write_bytes((tmp_path / "a.parquet").read_bytes())
    assert len(rows_of(tmp_path)) == 12
    assert "ignored: copy.parquet is a copy of a.parquet" in capsys.readouterr().err


def test_other_files_are_ignored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame().to_parquet(tmp_path / "payments.parquet")
    frame().assign(TX_DURING_NIGHT=0).to_parquet(tmp_path / "published_features.parquet")
    pd.DataFrame({"NAME": ["x"]}).to_parquet(tmp_path / "names.parquet")
    assert [path.name for path in PublishedFeed(tmp_path, NOW).files] == ["payments.parquet"]
    said = capsys.readouterr().err
    assert "ignored: published_features.parquet contains features" in said
    assert "ignored: names.parquet has none of the payment columns" in said


def changed(**columns: Any) -> pd.DataFrame:
    return frame(start="2018-05-01").assign(**columns)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (
            changed().drop(columns="TX_AMOUNT"),
            r"b\.parquet lacks the column TX_AMOUNT: add it or rename one of TRANSACTION_ID, ",
        ),
        (
            changed().drop(columns="TX_FRAUD"),
            r"b\.parquet lacks the column TX_FRAUD: add it or rename one of TRANSACTION_ID, ",
        ),
        (changed(TX_AMOUNT="twelve"), r"the column TX_AMOUNT of .*b\.parquet has type string: store it as numbers"),
        (changed(CUSTOMER_ID="C-17"), r"the column CUSTOMER_ID of .*b\.parquet cannot be read as int64"),
        (changed(CUSTOMER_ID=1.5), r"the column CUSTOMER_ID of .*b\.parquet cannot be read as int64"),
        (changed(TERMINAL_ID=np.uint64(2**63)), r"the column TERMINAL_ID of .*b\.parquet cannot be read as int64"),
        (
            changed(TRANSACTION_ID=[b"1"] * 12),
            r"the column TRANSACTION_ID of .*b\.parquet has type binary: store it as integers",
        ),
        (
            changed(TX_DATETIME="yesterday"),
            r"the column TX_DATETIME of .*b\.parquet has type string: store it as timestamps",
        ),
        (
            changed(TX_DATETIME=20180501),
            r"the column TX_DATETIME of .*b\.parquet has type int64: store it as timestamps",
        ),
        (
            changed(TX_DATETIME=np.array(["2018-05-01"] * 5 + ["20180-01-01"] * 7, "datetime64[s]")),
            r"the column TX_DATETIME of .*b\.parquet has a time outside the years 1 to 9999 in row 5 ",
        ),
        (
            changed(TX_DATETIME=np.datetime64("2000000-01-01", "s")),
            r"the column TX_DATETIME of .*b\.parquet has a time outside the years 1 to 9999 in row 0 ",
        ),
        (changed(TX_DATETIME=pd.NaT), r"the column TX_DATETIME of .*b\.parquet has"),
        (changed(TX_DATETIME=np.datetime64("NaT", "us")), r"the column TX_DATETIME of .*b\.parquet has no usable time"),
        (
            changed(TX_DATETIME=np.datetime64("2030-01-01", "us")),
            r"the column TX_DATETIME of .*b\.parquet has no usable time",
        ),
        (changed(TX_FRAUD="yes"), r"the column TX_FRAUD of .*b\.parquet cannot be read as int64"),
    ],
)
def test_an_invalid_column_is_named(tmp_path: Path, table: pd.DataFrame, words: str) -> None:
    frame().to_parquet(tmp_path / "a.parquet")
    table.to_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match=words):
        PublishedFeed(tmp_path, NOW).days()


@pytest.mark.parametrize("name", ["TX_AMOUNT", "TX_FRAUD_SCENARIO"])
def test_a_duplicate_column_is_named(tmp_path: Path, name: str) -> None:
    table = pa.Table.from_pandas(frame())
    pq.write_table(table.append_column(name, table[name]), tmp_path / "payments.parquet")
    with pytest.raises(DataError, match=f"column {name} more than once"):
        PublishedFeed(tmp_path, NOW).days()


def test_a_damaged_page_is_named(tmp_path: Path) -> None:
    path = tmp_path / "payments.parquet"
    frame(30, 40).to_parquet(path, compression="zstd")
    content = bytearray(path.read_bytes())
    content[40:600] = bytes(560)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"payments\.parquet is damaged .*: download it again"):
        PublishedFeed(tmp_path, NOW).days()


@pytest.mark.parametrize("name", ["payments.parquet", "2018-04-01.pkl"])
@pytest.mark.parametrize("content", [b"", b"nothing of the kind"])
def test_an_unreadable_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name} cannot be read as"):
        PublishedFeed(tmp_path, NOW).days()


def test_no_folder_no_files_and_no_payments_have_different_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no folder"):
        PublishedFeed(tmp_path / "missing", NOW).days()
    with pytest.raises(DataError, match="no payments in"):
        PublishedFeed(tmp_path, NOW).days()


HOURS = st.one_of(st.none(), st.integers(-40, 200))
"""Hours since 1970; `CLOCK` is at 100, so later ones have not been yet and negative ones cannot be."""
CLOCK = EPOCH + timedelta(hours=100)


@given(st.lists(HOURS, min_size=1, max_size=12), st.integers(1, 4))
def test_a_payment_without_a_usable_time_arrives_with_its_neighbour(hours: list[int | None], size: int) -> None:
    """Compared with a literal version: the last usable time before a payment, else the first after it."""
    usable = [hour for hour in hours if hour is not None and 0 <= hour <= 100]
    occurred = [None if hour is None else EPOCH + timedelta(hours=hour) for hour in hours]
    # Each piece is followed by an empty one.
    starts = [start for first in range(0, len(occurred), size) for start in (first, len(occurred))]
    pieces = (_timed(occurred[start : start + size]) for start in starts)
    if not usable:
        with pytest.raises(DataError, match="no usable time"):
            list(with_arrivals(pieces, CLOCK, Path("x.parquet")))
        return
    expected, last = [], usable[0]
    for hour in hours:
        last = hour if hour is not None and 0 <= hour <= 100 else last
        expected.append(EPOCH + timedelta(hours=last))
    found = pa.concat_tables(with_arrivals(pieces, CLOCK, Path("x.parquet")))
    assert found["arrived_at"].to_pylist() == expected
    assert found["occurred_at"].to_pylist() == occurred


def _timed(occurred: list[datetime | None]) -> pa.Table:
    nothing = {field.name: pa.nulls(len(occurred), field.type) for field in BATCH_SCHEMA}
    return pa.table(nothing | {"occurred_at": pa.array(occurred, INSTANT)}, schema=BATCH_SCHEMA)


@pytest.mark.parametrize(("ahead", "usable"), [(MAX_CLOCK_SKEW, True), (MAX_CLOCK_SKEW + timedelta(seconds=1), False)])
def test_five_minutes_ahead_of_the_clock_are_usable(tmp_path: Path, ahead: timedelta, usable: bool) -> None:
    clock = datetime(2018, 4, 1, tzinfo=UTC)
    times = pd.Series([clock, clock + ahead]).dt.tz_localize(None)
    frame(1, 2).assign(TX_DATETIME=times).to_parquet(tmp_path / "payments.parquet")
    arrived = rows_of(tmp_path, clock)["arrived_at"].to_pylist()
    assert arrived == [clock, clock + ahead if usable else clock]


def test_neighbours_are_those_of_the_same_file(tmp_path: Path) -> None:
    """Files need not be in order of time: a later file may hold earlier days."""
    frame(1, start="2018-05-01").to_parquet(tmp_path / "a.parquet")
    early = frame(1, start="2018-04-01")
    early.loc[0, "TX_DATETIME"] = pd.NaT
    early.to_parquet(tmp_path / "b.parquet")
    assert PublishedFeed(tmp_path, NOW).days() == [date(2018, 4, 1), date(2018, 5, 1)]


def test_frauds_are_reported_after_seven_days(tmp_path: Path) -> None:
    frauds = frame(1, 4).assign(TX_FRAUD=[0, 1, 1, 0])
    frauds.loc[2, "TX_DATETIME"] = pd.NaT
    frauds.to_parquet(tmp_path / "payments.parquet")
    reports = reports_of(rows_of(tmp_path))
    due = datetime(2018, 4, 8, 6, tzinfo=UTC)
    assert reports["transaction_id"].to_pylist() == [1, 2]
    assert reports["reported_at"].to_pylist() == reports["arrived_at"].to_pylist() == [due, due]


@pytest.mark.parametrize(
    ("written", "kind", "read"),
    [
        (["0.1", "57.16", "1234.5", "1234.56"], pa.float32(), ["0.1", "57.16", "1234.5", "1234.56"]),
        (["1.005", "0.35", "57.163", "-2"], pa.decimal128(12, 3), ["1.005", "0.35", "57.163", "-2.0"]),
        (["85.64999999999999", "0.30000000000000004"], pa.float64(), ["85.65", "0.3"]),
        (["999999.9900000001", "1e300", "1.005", "85.649"], pa.float64(), ["999999.99", "1e+300", "1.005", "85.649"]),
        (["NaN", "Infinity", "-Infinity"], pa.float64(), ["nan", "inf", "-inf"]),
    ],
)
def test_amounts_are_the_intended_ones(tmp_path: Path, written: list[str], kind: pa.DataType, read: list[str]) -> None:
    amounts = pa.array([Decimal(text) if pa.types.is_decimal(kind) else np.float64(text) for text in written])
    table = pa.Table.from_pandas(frame(1, len(written)), preserve_index=False).drop_columns("TX_AMOUNT")
    pq.write_table(table.append_column("TX_AMOUNT", amounts.cast(kind, safe=False)), tmp_path / "payments.parquet")
    assert [repr(amount) for amount in rows_of(tmp_path)["amount"].to_pylist()] == read


def test_amounts_lose_only_floating_point_noise() -> None:
    noisy = pa.chunked_array([[85.64999999999999, 100.30000000000001, 1.005, 0.0, -5.0, float("nan"), None]])
    found = _without_noise(noisy).to_pylist()
    assert found[:5] == [85.65, 100.3, 1.005, 0.0, -5.0]
    assert np.isnan(found[5])
    assert found[6] is None
