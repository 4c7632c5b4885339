"""Rows of files read by a map: each is a payment, a refund or refused."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import bank.mapped.feed
from bank.errors import DataError
from bank.feed import reports_of
from tests.bank.mapped import HEADER, ROWS, csv_feed, payments


def test_every_row_is_a_payment_a_refund_or_refused_with_masked_examples(tmp_path: Path) -> None:
    feed = csv_feed(
        tmp_path,
        *ROWS,
        ",4613314721966,s,1,2024-01-01,0",
        "b,,s,1,2024-01-01,0",
        "c,7,s,1e3,2024-01-01,0",
        "d,7,s,4613314721966,2024-01-01,0",
        "e,7,s,-5,2024-01-01,0",
        "f,4.61331472197e+15,s,1,2024-01-01,0",
        "g,7,s,1,2024-13-01,0",
        "h,7,s,1,2024-01-01,maybe 4613314721966",
        "i,7,s,1,2024-01-01,",
    )
    assert feed.tally.rows == 12 == feed.total() + feed.tally.refunds + feed.tally.refused.total()
    assert (feed.total(), feed.tally.refunds, feed.tally.unknown_labels) == (4, 1, 1)
    assert dict(feed.tally.refused) == {
        "transaction_id: missing": 1,
        "customer_id: missing": 1,
        "amount: not a number": 1,
        "amount: above 1,000,000.00": 1,
        "customer_id: digits are lost": 1,
        "occurred_at: not a time": 1,
        "fraud: a value without meaning": 1,
    }
    shown = json.dumps([vars(one) for some in feed.tally.examples.values() for one in some])
    assert "4613314721966" not in shown
    assert "61331472197" not in shown
    assert '"payments.csv", "row": 7, "column": "amount", "value": "46\\u202666"' in shown


def test_other_currencies_are_converted_by_dated_rates_or_refused(tmp_path: Path) -> None:
    rows = [f"{row},currency".replace("currency", code) for row, code in zip(ROWS, ("USD", "EUR", "CHF"), strict=True)]
    (tmp_path / "rates.csv").write_text("date,currency,rate\n2023-12-01,USD,0.9\n2024-01-01,USD,0.902\n")
    given: dict[str, Any] = {"header": HEADER + ",cur", "columns": {"currency": "cur"}}
    feed = csv_feed(tmp_path, *rows, **given, currency={"home": "EUR", "rates": "rates.csv"})
    assert [row["amount"] for row in payments(feed)] == [11.28, 3.1]  # 12.50 * 0.902 = 11.275
    assert dict(feed.tally.refused) == {"currency: no rate": 1}
    assert csv_feed(tmp_path, *rows, **given, currency={"home": "EUR"}).tally.refused["currency: no rate"] == 2


def test_the_limit_of_amounts_holds_after_conversion(tmp_path: Path) -> None:
    (tmp_path / "rates.csv").write_text("date,currency,rate\n2020-01-01,JPY,0.006\n2020-01-01,ODD,9e30\n")
    rows = [f"{n},7,s,2000000,2024-01-01,0,{code}" for n, code in enumerate(("JPY", "EUR", "ODD"))]
    given: dict[str, Any] = {"header": HEADER + ",cur", "columns": {"currency": "cur"}}
    feed = csv_feed(tmp_path, *rows, **given, currency={"home": "EUR", "rates": "rates.csv"})
    assert [row["amount"] for row in payments(feed)] == [12_000.0]
    assert dict(feed.tally.refused) == {"amount: above 1,000,000.00": 2}


def test_a_wrong_unit_is_named_where_amounts_are_converted_too(tmp_path: Path) -> None:
    (tmp_path / "rates.csv").write_text("date,currency,rate\n2020-01-01,USD,0.9\n")
    given: dict[str, Any] = {"header": HEADER + ",cur", "columns": {"currency": "cur"}, "time": {"unit": "s"}}
    feed = csv_feed(tmp_path, "1,7,s,5,1700000000000,0,USD", **given, currency={"home": "EUR", "rates": "rates.csv"})
    assert dict(feed.tally.refused) == {"occurred_at: in the future": 1}
    (example,) = feed.tally.examples["occurred_at: in the future"]
    assert 'write unit = "ms"' in example.remedy


def test_a_report_dated_in_the_future_does_not_make_its_fraud_genuine(tmp_path: Path) -> None:
    feed = csv_feed(
        tmp_path, ROWS[1] + ",9999-12-31", header=HEADER + ",rep", columns={"reported_at": "rep"}
    )  # fmt: skip
    (batch,) = feed.batches()
    assert reports_of(batch.rows)["reported_at"].to_pylist() == [datetime(2024, 1, 9, 11, tzinfo=UTC)]
    assert feed.tally.notes["reports dated in the future, read as made after the label delay"] == 1


def test_an_empty_label_with_a_meaning_is_not_counted_as_unknown(tmp_path: Path) -> None:
    feed = csv_feed(tmp_path, ROWS[1][:-1], ROWS[0], values={"fraud": {"": False, "0": True}})
    assert [row["fraud"] for row in payments(feed)] == [False, True]
    assert "payments without a label, read as unknown" not in feed.tally.notes


def test_a_refund_names_no_payment_where_payments_have_no_ids(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="payments without ids are not named"):
        csv_feed(tmp_path, *ROWS, columns={"transaction_id": "row", "refund_of": "id"})


def test_reports_come_when_the_data_says_so(tmp_path: Path) -> None:
    rows = [f"{row},{at}" for row, at in zip(ROWS, ("", "2024-02-01 08:00:00", ""), strict=True)]
    given: dict[str, Any] = {"header": HEADER + ",rep", "columns": {"reported_at": "rep"}}
    (batch,) = csv_feed(tmp_path, *rows, **given).batches()
    assert reports_of(batch.rows)["reported_at"].to_pylist() == [datetime(2024, 2, 1, 8, tzinfo=UTC)]
    (batch,) = csv_feed(tmp_path, ROWS[1] + ",", ROWS[1].replace("a2", "a4") + ",2023-01-01", **given).batches()
    assert reports_of(batch.rows)["reported_at"].to_pylist() == [datetime(2024, 1, 9, 11, tzinfo=UTC)] * 2


def test_payments_without_ids_are_numbered_by_source_and_row(tmp_path: Path) -> None:
    columns = {"transaction_id": "row"}
    first = payments(csv_feed(tmp_path, *ROWS, columns=columns))
    ids = [row["transaction_id"] for row in first]
    assert ids == list(range(ids[0], ids[0] + 3))
    assert [row["transaction_id"] for row in payments(csv_feed(tmp_path, *ROWS, columns=columns))] == ids
    other = payments(csv_feed(tmp_path, *ROWS[:2], columns=columns))
    assert not {row["transaction_id"] for row in other} & set(ids)


def test_more_rows_than_can_be_numbered_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bank.mapped.feed, "ROW_BITS", 1)
    assert len(csv_feed(tmp_path, *ROWS[:2], columns={"transaction_id": "row"}).days()) == 2
    with pytest.raises(DataError, match="has more than 2 rows to number: split it into several"):
        csv_feed(tmp_path, *ROWS, columns={"transaction_id": "row"}).days()


def test_a_file_without_a_payment_says_why(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"no row of .*payments\.csv is a payment by .*my\.toml: amount: not a number \(2\)"
    ):
        csv_feed(tmp_path, "a,7,s,x,2024-01-01,0", "b,7,s,y,2024-01-01,0").days()
    with pytest.raises(DataError, match="it has no rows"):
        csv_feed(tmp_path).days()


def test_days_are_those_of_the_payments_alone(tmp_path: Path) -> None:
    feed = csv_feed(tmp_path, *ROWS, "r,7,s,-5,2024-01-09,0", "x,7,s,?,2024-01-08,0")
    assert feed.days() == [date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3)]
    assert isinstance(next(feed.batches()).rows, pa.Table)
