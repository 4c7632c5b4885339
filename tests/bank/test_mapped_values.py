"""Values of mapped columns: amounts, times, ids, labels and kinds, each read exactly or refused and counted."""

from __future__ import annotations

import random
import zoneinfo
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bank.mapped.times
from bank.mapped.amounts import amounts
from bank.mapped.ids import FIRST_HASH, NUMBERED, IdKey, id_texts, numbers_of
from bank.mapped.labels import fraud_labels, kinds_of
from bank.mapped.problems import masked_id, masked_text
from bank.mapped.times import instants, likely_unit
from bank.mapped.zones import to_utc
from bank.mapping import Format, Time
from contracts.zones import clock_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = IdKey(b"secret")


def cents(texts: list[Any], kind: pa.DataType | None = None, **written: str) -> list[int | None]:
    """Cents, None where the amount is refused."""
    read = amounts(pa.array(texts, kind), Format(**written))  # type: ignore[arg-type]
    refused = np.logical_or.reduce([problem.rows for problem in read.problems])
    return [None if no else int(value) for value, no in zip(read.cents, refused, strict=True)]


@pytest.mark.parametrize(
    ("texts", "written", "expected"),
    [
        (["12.34", " 5 ", "-3.5", "+1", ".5", "007.10"], {}, [1234, 500, -350, 100, 50, 710]),
        (
            ["$-12.50", "-$12.50", "$ 7", "(3.10)", "($3.10)", "4-"],
            {"prefix": "$"},
            [-1250, -1250, 700, -310, -310, -400],
        ),
        (["1.234,56", "12,5", "1.234", "1234,5"], {"decimal": ",", "thousands": "."}, [123456, 1250, 123400, 123450]),
        (["1,234,567.8", "1,00,000.00", "999"], {"thousands": ","}, [None, 10000000, 99900]),
        (["1.5", "2,5"], {"decimal": ","}, [None, 250]),
        (["1,2,3", "1,23", "12,34.5"], {"thousands": ","}, [None, None, None]),
        (["nan", "inf", "1e3", "1_000", "٣", "", None, "abc", "0x10", "1.2.3"], {}, [None] * 10),
        (["12.34 €", "€12.34"], {"prefix": "€"}, [1234, 1234]),
        (["0.125", "0.135", "1.015", "2.5000", "1000000.00", "1000000.01"], {}, [12, 14, 102, 250, 100000000, None]),
    ],
)
def test_amounts_as_text(texts: list[Any], written: dict[str, str], expected: list[int | None]) -> None:
    assert cents(texts, pa.string(), **written) == expected


def test_amounts_as_numbers() -> None:
    values = [12.34, 85.64999999999999, 0.1 + 0.2, float("nan"), float("inf"), 1.015, 1e300, None]
    assert cents(values, pa.float64()) == [1234, 8565, 30, None, None, 102, None, None]
    assert cents([12.34, 99999.99], pa.float32()) == [1234, 9999999]
    assert cents([Decimal("12.345"), Decimal("12.30")], pa.decimal128(10, 3)) == [1234, 1230]
    assert cents([7, -3], pa.int32()) == [700, -300]


@given(st.decimals(min_value=-999_999, max_value=999_999, places=4))
@settings(max_examples=200, deadline=None)
def test_amounts_are_rounded_as_by_decimal_arithmetic(value: Decimal) -> None:
    expected = int(value.quantize(Decimal("0.01"), ROUND_HALF_EVEN) * 100)
    assert cents([f"{value:f}"], pa.string()) == cents([float(value)], pa.float64()) == [expected]


@pytest.mark.parametrize(
    ("text", "written", "remedy"),
    [
        ("12,50", {}, 'write decimal = ","'),
        ("1,234.50", {}, 'write thousands = "," below [format]'),
        ("$3.10", {}, 'write prefix = "$" below [format]'),
        ("1e3", {}, "write amounts as plain decimals, not as 1e3"),
    ],
)
def test_a_refused_amount_says_what_to_write(text: str, written: dict[str, str], remedy: str) -> None:
    (odd,) = [problem for problem in amounts(pa.array([text]), Format()).problems if problem.rows.any()]
    assert odd.remedy.startswith(remedy)


def times_of(values: list[Any], **written: Any) -> tuple[list[str | None], dict[str, int]]:
    """Instants as text, None where refused; and the notes."""
    columns = (
        [pa.array(values)] if not isinstance(values[0], tuple) else [pa.array(x) for x in zip(*values, strict=True)]
    )
    read = instants(columns, "occurred_at", Time(**written), NOW)
    refused = np.logical_or.reduce([problem.rows for problem in read.problems])
    found = [
        None if no else datetime.fromtimestamp(micros / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        for micros, no in zip(read.micros.tolist(), refused, strict=True)
    ]
    return found, {note: int(rows.sum()) for note, rows in read.notes.items() if rows.any()}


@pytest.mark.parametrize(
    ("values", "written", "expected"),
    [
        (["2024-01-31 10:00:00", "2024-01-31T10:00", "2024-01-31"], {},
         ["2024-01-31T10:00:00"] * 2 + ["2024-01-31T00:00:00"]),
        (["2024-01-31T10:00:00Z", "2024-01-31 10:00:00+02:00", "2024-01-31T10:00:00.123456-0500"],
         {"zone": "Asia/Tokyo"}, ["2024-01-31T10:00:00", "2024-01-31T08:00:00", "2024-01-31T15:00:00"]),
        (["2024-01-31 10:00"], {"zone": "Asia/Tokyo"}, ["2024-01-31T01:00:00"]),
        (["31.01.2024 10:00:00", "30.02.2024 10:00:00", "x"], {"format": "%d.%m.%Y %H:%M:%S"},
         ["2024-01-31T10:00:00", None, None]),
        ([("2002", "9", "1", "06:21")], {"format": "%Y %m %d %H:%M"}, ["2002-09-01T06:21:00"]),
        (["1700000000", "1700000000.5", "-5", "x"], {"unit": "s"}, ["2023-11-14T22:13:20"] * 2 + [None, None]),
        (["1700000000000"], {"unit": "ms"}, ["2023-11-14T22:13:20"]),
        (["1700000000000000000"], {"unit": "ns"}, ["2023-11-14T22:13:20"]),
        (["0", "25"], {"unit": "hour", "origin": "2017-01-01"}, ["2017-01-01T00:00:00", "2017-01-02T01:00:00"]),
        (["1.5"], {"unit": "day", "origin": "2017-01-01", "zone": "America/New_York"}, ["2017-01-02T17:00:00"]),
        (["2024", "20240131", "2024-13-01", "2024-02-30", "1700000000", "99999999999999999999"], {}, [None] * 6),
        (["2024-01-31 10:00:00", "1969-12-31", "2099-01-01"], {}, ["2024-01-31T10:00:00", None, None]),
        ([datetime(2024, 1, 31, 10), None], {"zone": "Asia/Tokyo"}, ["2024-01-31T01:00:00", None]),
        ([datetime(2024, 1, 31, 10, tzinfo=UTC)], {"zone": "Asia/Tokyo"}, ["2024-01-31T10:00:00"]),
    ],
)  # fmt: skip
def test_times(values: list[Any], written: dict[str, str], expected: list[str | None]) -> None:
    assert times_of(values, **written)[0] == expected


def test_times_that_the_clock_skips_or_repeats_follow_a_stated_rule_and_are_counted() -> None:
    values = ["2024-03-10 02:30:00", "2024-11-03 01:30:00", "2024-11-03 00:59:59", "2024-11-03 02:00:00"]
    found, notes = times_of(values, zone="America/New_York")
    assert found == ["2024-03-10T07:30:00", "2024-11-03T05:30:00", "2024-11-03T04:59:59", "2024-11-03T07:00:00"]
    assert notes == {
        "times that the clock skipped (daylight saving), moved by the gap": 1,
        "times that the clock repeated (daylight saving), read as the first": 1,
    }


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1)),
    st.sampled_from(
        ["America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Europe/Dublin", "Africa/Casablanca"]
    ),
)
@settings(max_examples=300, deadline=None)
def test_local_times_are_those_of_zoneinfo(local: datetime, zone: str) -> None:
    micros = round((local - datetime(1970, 1, 1)) / timedelta(microseconds=1))
    utc = to_utc(np.array([micros]), zone)[0][0]
    expected = local.replace(tzinfo=clock_of(zone), fold=0).astimezone(UTC)
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(utc)) == expected


def test_zones_are_those_of_the_package_not_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "Asia").mkdir()
    (tmp_path / "Asia/Kolkata").write_bytes(files("tzdata").joinpath("zoneinfo/Asia/Tokyo").read_bytes())
    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath([tmp_path])
    zoneinfo.ZoneInfo.clear_cache()
    try:
        written = Time(zone="Asia/Kolkata", unit="s", origin="2024-01-01")
        assert written.start == datetime(2023, 12, 31, 18, 30, tzinfo=UTC)
        assert times_of(["2024-01-01 05:30:00"], zone="Asia/Kolkata")[0] == ["2024-01-01T00:00:00"]
    finally:
        zoneinfo.reset_tzpath(before)
        zoneinfo.ZoneInfo.clear_cache()


@pytest.mark.parametrize(
    ("values", "written", "remedy"),
    [
        (["1700000000000"], {"unit": "s"}, 'in unit = "s" it is the year 55,84'),
        (["1700000000000"], {"unit": "s"}, 'write unit = "ms" below [time]'),
        (["1700000000"], {}, 'write unit = "s" below [time]'),
        (["31/12/2023 10:00"], {}, 'write format = "%d/%m/%Y %H:%M" below [time]'),
        (["2023-12-31"], {"unit": "s"}, "it is not a number: remove unit below [time]"),
        (["2023-12-31"], {"format": "%d.%m.%Y"}, 'it is not in the format "%d.%m.%Y"'),
    ],
)
def test_a_refused_time_says_what_to_write(values: list[str], written: dict[str, str], remedy: str) -> None:
    read = instants([pa.array(values)], "occurred_at", Time(**written), NOW)  # type: ignore[arg-type]
    (odd,) = [problem for problem in read.problems if problem.rows.any()]
    assert remedy in odd.remedy


def test_units_are_told_apart_by_their_size() -> None:
    assert [likely_unit(17 * 10**n) for n in (8, 11, 14, 17)] == ["s", "ms", "us", "ns"]


def test_formats_are_not_tried_on_times_that_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes longer than reading a table."""
    monkeypatch.setattr(bank.mapped.times, "likely_formats", lambda _: pytest.fail("formats were tried"))
    instants([pa.array(["2024-01-01 10:00:00", None])], "occurred_at", Time(), NOW)


def numbers(values: list[Any], kind: str = "customer_id", key: IdKey = KEY) -> list[int]:
    texts, problems = id_texts([pa.array(values)], kind)
    assert not any(problem.rows.any() for problem in problems)
    return numbers_of(texts, kind, key).values.tolist()


def test_hashes_stay_the_same_from_one_version_to_the_next() -> None:
    """Loaded banks have them, so a faster way to compute them must give these."""
    ids, fingerprints = KEY.hashes("customer_id", ["4613314721966", "shop é", ""])
    assert ids.tolist() == [6061532848193084272, 4989476776443676261, 3082876242345693989]
    assert fingerprints.tolist() == [824839681008824668, -6712668838237063730, 7923348621335422104]
    assert KEY.hashes("transaction_id", ["4613314721966"])[0].tolist() == [3020919659989324660]


def test_short_whole_numbers_are_kept_and_all_else_is_hashed() -> None:
    kept = ["0", "7", "999999999"]
    assert numbers(kept) == [0, 7, 999_999_999]
    hashed = ["007", "1000000000", "60416207185", "4613314721966", "-5", "M1979787155", "7 7", "é"]
    found = numbers(hashed)
    assert all(FIRST_HASH <= one < 2**63 for one in found)
    assert len(set(found)) == len(hashed)
    assert not {str(one) for one in found} & set(hashed)


def test_ids_agree_between_files_of_other_types() -> None:
    """A later file may have other neighbours, another type, gaps or spaces."""
    assert numbers(["12", "x"])[0] == numbers([12])[0] == numbers([12.0, 13.0])[0] == numbers([" 12.0"])[0] == 12
    text = numbers(["4613314721966"])
    assert text == numbers([4613314721966]) == numbers([4613314721966.0]) == numbers(["4613314721966", "a", "b"])[:1]


def test_hashes_depend_on_the_key_and_on_the_kind_of_id() -> None:
    card = ["4613314721966"]
    assert len({numbers(card)[0], numbers(card, key=IdKey(b"other"))[0], numbers(card, "terminal_id")[0]}) == 3


def test_hashes_of_payments_are_never_numbers_of_rows() -> None:
    assert all(one < NUMBERED for one in numbers([f"x{n}" for n in range(2_000)], "transaction_id"))
    assert KEY.first_of_source("file:1")[0] & NUMBERED


def test_several_columns_identify_together() -> None:
    texts, _ = id_texts([pa.array(["1", "12", None, None]), pa.array(["23", "3", "4", None])], "customer_id")
    assert len(set(texts.to_pylist()[:3])) == 3
    assert texts.to_pylist()[3] is None


@pytest.mark.parametrize("values", [[9.1e18], [2.0**53], [1.5], ["4.61331472197e+15"]])
def test_ids_that_lost_digits_are_refused(values: list[Any]) -> None:
    _, (lost, missing) = id_texts([pa.array(values)], "customer_id")
    assert lost.rows.all()
    assert not missing.rows.any()


@given(st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=30), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_an_id_does_not_depend_on_its_neighbours(values: list[str], draw: random.Random) -> None:
    texts = pa.array(values, pa.string())
    alone = dict(zip(values, numbers_of(texts, "customer_id", KEY).values.tolist(), strict=True))
    draw.shuffle(values)
    assert numbers_of(pa.array(values, pa.string()), "customer_id", KEY).values.tolist() == [
        alone[one] for one in values
    ]


def test_labels() -> None:
    assert fraud_labels(pa.array([True, False, None]), None)[0].to_pylist() == [True, False, None]
    assert fraud_labels(pa.array([1.0, 0.0, None]), None)[0].to_pylist() == [True, False, None]
    assert fraud_labels(pa.array(["TRUE", "0", ""]), None)[0].to_pylist() == [True, False, None]
    found, (odd,) = fraud_labels(pa.array(["Yes", "No", "2", "maybe"]), {"Yes": True, "No": False, "2": "unknown"})
    assert found.to_pylist()[:3] == [True, False, None]
    assert odd.rows.tolist() == [False, False, False, True]
    assert odd.remedy == 'say what it means below [values]: fraud = { "maybe" = true }'
    assert fraud_labels(pa.array([None], pa.string()), {"": False, "1": True})[0].to_pylist() == [False]


def test_kinds() -> None:
    found, problems = kinds_of(pa.array(["Payment", "REFUND", None, "x"]), None)
    assert found.to_pylist()[:2] == ["payment", "refund"]
    assert [problem.rows.tolist() for problem in problems] == [[False, False, True, False], [False, False, False, True]]


def test_what_people_see_of_ids() -> None:
    assert [masked_id(one) for one in ("4613314721966", "12345", "12")] == ["46…66", "1…5", "…"]
    assert masked_text("paid with 4613 3147 2196 6123 today") == "paid with 46…23 today"
