"""Files read by a map: any form of file, each row a payment, a refund or refused, loaded once and in bounded pieces."""

from __future__ import annotations

import bz2
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pyarrow as pa
import pytest
from tenacity import stop_after_attempt

import bank.mapped.feed
import bank.mapped.readers
from bank.errors import DataError
from bank.feed import reports_of
from bank.find_id import number_of
from bank.landing import copy_rows
from bank.load import load
from bank.mapped.ids import IdKey
from bank.prefetch import read_ahead
from bank.replay import day_to_play, record_refunds, replay
from bank.scorer_client import ScorerClient
from bank.settings import Settings
from tests.bank.conftest import TinyScorer
from tests.bank.frames import count
from tests.bank.mapped import HEADER, KEY, NOW, csv_feed, feed_of, payments, refunds

ROWS = [
    "a1,4613314721966,shop one,12.50,2024-01-01 10:00:00,0",
    "a2,4613314721966,shop two,3.10,2024-01-02 11:00:00,1",
    "a3,7,shop one,0.00,2024-01-03 12:00:00,0",
]
FRAME = pd.DataFrame(
    {
        "id": ["a1", "a2", "a3"],
        "card": ["4613314721966", "4613314721966", "7"],
        "shop": ["shop one", "shop two", "shop one"],
        "amount": ["12.50", "3.10", "0.00"],
        "time": ["2024-01-01 10:00:00", "2024-01-02 11:00:00", "2024-01-03 12:00:00"],
        "fraud": ["0", "1", "0"],
    }
)


def written(folder: Path, name: str) -> Path:
    """The payments of `ROWS` in the form that the name says."""
    path = folder / name
    text = "\n".join([HEADER, *ROWS]) + "\n"
    lines = "".join(json.dumps(row) + "\n" for row in FRAME.to_dict("records"))
    typed = FRAME.astype({"amount": float, "fraud": int}).assign(time=pd.to_datetime(FRAME["time"]))
    forms: dict[str, Any] = {
        "plain.csv": lambda: path.write_text(text),
        "UPPER.CSV": lambda: path.write_text(text),
        "bom.csv": lambda: path.write_text(text, encoding="utf-8-sig"),
        "crlf.csv": lambda: path.write_bytes(text.replace("\n", "\r\n").encode()),
        "packed.csv.gz": lambda: path.write_bytes(gzip.compress(text.encode())),
        "packed.csv.bz2": lambda: path.write_bytes(bz2.compress(text.encode())),
        "wrong_name.csv": lambda: path.write_bytes(gzip.compress(lines.encode())),
        "lines.jsonl": lambda: path.write_text(lines),
        "text.parquet": lambda: FRAME.to_parquet(path),
        "typed.pq": lambda: typed.to_parquet(path),
        "categories.parquet": lambda: FRAME.astype("category").to_parquet(path),
    }
    forms[name]()
    return path


FORMS = (
    "plain.csv",
    "UPPER.CSV",
    "bom.csv",
    "crlf.csv",
    "packed.csv.gz",
    "packed.csv.bz2",
    "wrong_name.csv",
    "lines.jsonl",
    "text.parquet",
    "typed.pq",
    "categories.parquet",
)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("as_folder", [True, False])
def test_every_form_of_file_gives_the_same_payments(tmp_path: Path, name: str, as_folder: bool) -> None:
    expected = payments(csv_feed(tmp_path, *ROWS))
    (tmp_path / "payments.csv").unlink()
    path = written(tmp_path, name)
    found = payments(feed_of(tmp_path if as_folder else path))
    assert found == expected
    assert [row["amount"] for row in found] == [12.5, 3.1, 0.0]
    assert found[0]["customer_id"] == found[1]["customer_id"] != 4613314721966
    assert found[2]["customer_id"] == 7


def test_a_folder_of_partitions_gives_its_columns(tmp_path: Path) -> None:
    for day, row in zip(("2024-01-01", "2024-01-02", "__HIVE_DEFAULT_PARTITION__"), ROWS, strict=True):
        folder = tmp_path / "country=DE" / f"day={day}"
        folder.mkdir(parents=True)
        cells = row.split(",")
        (folder / "part-00000.csv").write_text(f"id,card,shop,amount,clock,fraud\n{','.join(cells[:4])},10:00,0\n")
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / ".hidden.csv").write_text("x")
    feed = feed_of(tmp_path, {"occurred_at": ["day", "clock"], "terminal_id": "country"})
    assert [str(row["occurred_at"]) for row in payments(feed)] == [f"2024-01-0{n} 10:00:00+00:00" for n in (1, 2)]
    assert dict(feed.tally.refused) == {"occurred_at: missing": 1}
    assert len({row["terminal_id"] for row in payments(feed)}) == 1


def test_a_card_number_in_the_name_of_a_folder_is_masked(tmp_path: Path) -> None:
    (tmp_path / "card=4613314721966").mkdir()
    (tmp_path / "card=4613314721966/x.csv").write_text("id,shop,amount,time,fraud\n1,2,x,2024-01-01,0\n")
    feed = feed_of(tmp_path)
    assert feed.tally.examples["amount: not a number"][0].file == "card=46…66/x.csv"


def test_equal_files_in_different_partitions_are_not_copies(tmp_path: Path) -> None:
    for day in ("2024-01-01", "2024-01-02"):
        (tmp_path / f"day={day}").mkdir()
        (tmp_path / f"day={day}/x.csv").write_text("id,card,shop,amount,fraud\n1,2,3,4,0\n")
    assert len(feed_of(tmp_path, {"occurred_at": "day"}).days()) == 2


def test_json_keeps_long_numbers_and_reads_nested_values(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(
        '{"id": 12345678901234567890123, "card": {"no": 7}, "shop": true, "amount": 1.10, "time": 1700000000}\n'
        "\n[1]\nnot json\n"
        '{"id": 12345678901234567890124, "card": {"no": 8}, "shop": null, "amount": 1, "time": 1700000001}\n'
    )
    feed = feed_of(path, {"customer_id": "card.no", "fraud": None}, time={"unit": "s"})
    (row,) = payments(feed)
    assert (row["customer_id"], row["amount"]) == (7, 1.1)
    assert dict(feed.tally.refused) == {"terminal_id: missing": 1, "row: cannot be split into columns": 2}
    assert [one.row for one in feed.tally.examples["row: cannot be split into columns"]] == [2, 3]
    assert feed.tally.examples["terminal_id: missing"][0].row == 4


def test_broken_rows_are_counted_and_the_others_keep_their_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bank.mapped.readers, "BLOCK_BYTES", 2_000)
    monkeypatch.setattr(bank.mapped.readers, "TABLE_ROWS", 50)
    lines = ["a,b" if row % 100 == 50 else f"{row},1,2,3.00,2024-01-01 10:00:00,0" for row in range(400)]
    feed = csv_feed(tmp_path, *lines)
    assert [row["source_row"] for row in payments(feed)] == [row["transaction_id"] for row in payments(feed)]
    assert (feed.tally.rows, feed.total()) == (400, 396)
    assert [one.row for one in feed.tally.examples["row: cannot be split into columns"]] == [51, 151, 251]


def test_quoted_newlines_and_delimiters_stay_inside_a_value(tmp_path: Path) -> None:
    feed = csv_feed(tmp_path, 'a,7,"one\ntwo; ""three"",",5.00,2024-01-01,0', "b,7,x,5.00,2024-01-01,0")
    assert [row["source_row"] for row in payments(feed)] == [0, 1]


def test_other_delimiters_encodings_and_files_without_header(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes("1;7;Café;1.234,50;31.01.2024;0\n".encode("latin-1"))
    form = {"delimiter": ";", "encoding": "latin-1", "decimal": ",", "thousands": ".", "header": HEADER.split(",")}
    (row,) = payments(feed_of(path, format=form, time={"format": "%d.%m.%Y"}))
    assert (row["amount"], row["transaction_id"]) == (1234.5, 1)
    with pytest.raises(DataError, match='is not in the encoding "utf-8": write encoding = "latin-1" below'):
        feed_of(path, format=form | {"encoding": "utf-8"}, time={"format": "%d.%m.%Y"}).days()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.csv", b"PK\x03\x04....", "is a zip archive or an Excel file: unpack it, or save it as CSV"),
        ("x.json", b'[{"id": 1}]', "is one JSON array: write one object per line, for example with `jq -c '.[]'`"),
        ("x.csv", b"\xff\xfei\0d\0", 'is in UTF-16: write encoding = "utf-16" below [format]'),
        ("x.csv", b"\0\1\2\3" * 50, "is not text: save the table as CSV, Parquet or JSON lines"),
        ("x.csv.gz", gzip.compress(b"id,card\n" * 10_000)[:40], "cannot be read"),
        ("x.parquet", b"PAR1 and nothing else", "cannot be read"),
        ("x.csv", b"sep=;\nid;card\n", "begins with Excel's line sep=;: remove that line"),
        ("x.csv", b"id;card;shop\n1;2;3\n", "(one column only: check delimiter below [format])"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_what_to_do(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as raised:
        feed_of(tmp_path / name).days()
    assert words in str(raised.value)
    assert name in str(raised.value)


def test_a_missing_column_is_named_with_the_closest_one(tmp_path: Path) -> None:
    feed = csv_feed(tmp_path, header="id,card_no,shop,amount,time,fraud", columns={"customer_id": "card_nr"})
    with pytest.raises(
        DataError, match=r'my\.toml: \[columns\] customer_id = "card_nr", but payments\.csv has no such'
    ):
        feed.days()
    with pytest.raises(DataError, match=r"\(closest: card_no\): write one of id, card_no, shop"):
        feed.days()


def test_a_file_beside_the_payments_is_ignored_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    feed = csv_feed(tmp_path, *ROWS)
    (tmp_path / "identity.csv").write_text("id,device\n1,phone\n")
    (tmp_path / "README.md").write_text("read me")
    assert len(feed_of(tmp_path).days()) == len(feed.days())
    said = capsys.readouterr().err
    assert "ignored: identity.csv has no column card" in said
    assert "ignored: README.md does not end in .csv" in said


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


def test_kinds_separate_refunds_and_reversals_which_name_their_payment(
    bank: psycopg.Connection[Any], tmp_path: Path
) -> None:
    feed = csv_feed(
        tmp_path,
        "a1,7,s,10.00,2024-01-01,0,SALE,",
        "r1,7,s,-4.00,2024-01-02,0,CREDIT,a1",
        "r2,7,s,6.00,2024-01-02,0,VOID,a1",
        "r3,7,s,6.00,2024-01-02,0,?,",
        "a2,7,s,-6.00,2024-01-02,0,SALE,",
        header=HEADER + ",kind,of",
        columns={"kind": "kind", "refund_of": "of"},
        values={"kind": {"SALE": "payment", "CREDIT": "refund", "VOID": "reversal"}},
    )
    (payment,) = payments(feed)
    assert [(row["kind"], row["amount"], row["refund_of"]) for row in refunds(feed)] == [
        ("refund", 4.0, payment["transaction_id"]),
        ("reversal", 6.0, payment["transaction_id"]),
    ]
    assert dict(feed.tally.refused) == {"kind: a value without meaning": 1, "amount: a negative payment": 1}
    load(bank, feed, 0)
    load(bank, feed, 0)
    assert count(bank, "array_agg(kind || ' ' || amount order by source_row)", "refunds") == ["refund 4", "reversal 6"]


def test_refunds_and_unknown_labels_of_held_out_days_come_later(bank: psycopg.Connection[Any], tmp_path: Path) -> None:
    feed = csv_feed(tmp_path, *ROWS, "r,7,s,-5,2024-01-03 13:00:00,0", "u,7,s,5,2024-01-03 13:00:00,")
    load(bank, feed, 1)
    assert (count(bank, table="refunds"), count(bank, table="unknown_labels")) == (0, 0)
    load(bank, feed, 0)
    assert (count(bank, table="refunds"), count(bank, table="unknown_labels")) == (1, 1)


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


def test_a_column_that_comes_late_in_json_lines_is_found(tmp_path: Path) -> None:
    rows = FRAME.drop(columns="fraud").to_dict("records")[:1] * 1_200
    lines = [json.dumps({**row, "id": f"x{n}"} | ({"fraud": 1} if n == 1_150 else {})) for n, row in enumerate(rows)]
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    assert feed_of(tmp_path / "x.jsonl").tally.frauds == 1


def test_a_link_to_nothing_and_packed_parquet_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").symlink_to(tmp_path / "gone.csv")
    with pytest.raises(DataError, match=r"a\.csv is a broken link: remove it"):
        csv_feed(tmp_path, *ROWS) and feed_of(tmp_path).days()
    FRAME.to_parquet(tmp_path / "x.parquet")
    packed = tmp_path / "x.parquet.gz"
    packed.write_bytes(gzip.compress((tmp_path / "x.parquet").read_bytes()))
    with pytest.raises(DataError, match="is packed Parquet: unpack it"):
        feed_of(packed).days()


def test_a_refund_names_no_payment_where_payments_have_no_ids(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="payments without ids are not named"):
        csv_feed(tmp_path, *ROWS, columns={"transaction_id": "row", "refund_of": "id"})


def test_the_number_of_an_id_can_be_found(tmp_path: Path) -> None:
    feed = csv_feed(tmp_path, *ROWS)
    assert number_of(["4613314721966"], "customer_id", KEY) == payments(feed)[0]["customer_id"]
    assert number_of(["7"], "customer_id", KEY) == 7
    several = csv_feed(tmp_path, *ROWS, columns={"customer_id": ["card", "shop"]})
    assert number_of(["7", "shop one"], "customer_id", KEY) == payments(several)[2]["customer_id"]
    with pytest.raises(DataError, match="customer_id: missing: give the whole id"):
        number_of([" "], "customer_id", KEY)


def test_the_command_tells_the_numbers_of_ids(secrets_dir: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bank.find_id", "customer_id"],
        env=os.environ | {"SECRETS_DIR": str(secrets_dir)},
        input="7\n4613314721966\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.split()
    assert (first, int(second) > 10**9, second != "4613314721966") == ("7", True, True)


def test_reports_come_when_the_data_says_so(tmp_path: Path) -> None:
    rows = [f"{row},{at}" for row, at in zip(ROWS, ("", "2024-02-01 08:00:00", ""), strict=True)]
    given: dict[str, Any] = {"header": HEADER + ",rep", "columns": {"reported_at": "rep"}}
    (batch,) = csv_feed(tmp_path, *rows, **given).batches()
    assert reports_of(batch.rows)["reported_at"].to_pylist() == [datetime(2024, 2, 1, 8, tzinfo=UTC)]
    (batch,) = csv_feed(tmp_path, ROWS[1] + ",", ROWS[1].replace("a2", "a4") + ",2023-01-01", **given).batches()
    assert reports_of(batch.rows)["reported_at"].to_pylist() == [datetime(2024, 1, 9, 11, tzinfo=UTC)] * 2


def test_payments_without_ids_are_numbered_by_source_and_row(bank: psycopg.Connection[Any], tmp_path: Path) -> None:
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


def test_a_file_without_labels_is_loaded_with_all_labels_unknown(bank: psycopg.Connection[Any], tmp_path: Path) -> None:
    feed = csv_feed(tmp_path, *ROWS, columns={"fraud": None})
    assert not feed.labelled
    load(bank, feed, 0)
    assert (count(bank), count(bank, table="unknown_labels"), count(bank, table="fraud_reports")) == (3, 3, 0)


@pytest.mark.parametrize("column", ["customer_id", "transaction_id"])
def test_two_ids_with_one_hash_are_found_and_nothing_is_loaded(
    bank: psycopg.Connection[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, column: str
) -> None:
    honest = IdKey.hashes

    def colliding(self: IdKey, kind: str, values: Any) -> Any:
        ids, fingerprints = honest(self, kind, values)
        return (ids * 0 + 2**50 if kind == column else ids), fingerprints

    monkeypatch.setattr(IdKey, "hashes", colliding)
    feed = csv_feed(tmp_path, "a,x,s,1,2024-01-01,0", "b,y,s,1,2024-01-01,0")
    with pytest.raises(DataError, match="two different ids have the same hash, so nothing is loaded"):
        load(bank, feed, 0)
    assert count(bank) == count(bank, table="hashed_ids") == 0


def test_a_hash_of_an_earlier_load_is_found(
    bank: psycopg.Connection[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(bank, csv_feed(tmp_path, "a,x,s,1,2024-01-01,0"), 0)
    (known,) = bank.execute("select id from bank.hashed_ids where kind = 1").fetchone() or (0,)
    honest = IdKey.hashes
    monkeypatch.setattr(
        IdKey,
        "hashes",
        lambda key, kind, values: (honest(key, kind, values)[0] * 0 + known, honest(key, kind, values)[1]),
    )
    with pytest.raises(DataError, match="the same hash"):
        load(bank, csv_feed(tmp_path, "b,y,shop,1,2024-01-01,0"), 0)


def test_pieces_are_bounded_and_agree_with_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        f"p{row},c{row % 9},s{row % 4},{row / 8},2024-01-{row % 28 + 1:02} 10:00:00,{row % 2}" for row in range(900)
    ]
    whole = payments(csv_feed(tmp_path, *lines))
    monkeypatch.setattr(bank.mapped.readers, "BLOCK_BYTES", 3_000)
    monkeypatch.setattr(bank.mapped.readers, "TABLE_ROWS", 100)
    feed = csv_feed(tmp_path, *lines)
    assert max(len(batch.rows) for batch in feed.batches()) < 200
    assert payments(feed) == whole


def test_the_command_loads_a_mapped_file_and_says_what_was_refused(
    bank: psycopg.Connection[Any], tmp_path: Path, settings: Settings, secrets_dir: Path
) -> None:
    csv_feed(tmp_path, *ROWS, "x,7,s,abc,2024-01-01,0")
    (tmp_path / "my.toml").write_text(
        '[columns]\ntransaction_id = "id"\ncustomer_id = "card"\nterminal_id = "shop"\namount = "amount"\n'
        'occurred_at = "time"\nfraud = "fraud"\n'
    )
    environment = os.environ | {
        "BANK_URL": settings.bank_url,
        "SECRETS_DIR": str(secrets_dir),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    command = [sys.executable, "-m", "bank.load", "--data", "payments.csv", "--map", "my.toml"]
    for new in (3, 0):
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
        said = json.loads(done.stdout)
        assert (said["rows"], said["rows_new"], said["rows_in"]) == (3, new, 4)
        assert said["refused"] == {"amount: not a number": 1}
        assert "rejected: 1 of 4 rows: amount: not a number (1). `make check-data` shows examples" in done.stderr
        assert ("nothing is new" in done.stderr) == (new == 0)
    alone = [sys.executable, "-m", "bank.load", "--map", "my.toml"]
    failed = subprocess.run(alone, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (failed.returncode, failed.stderr) == (
        1, "error: --map my.toml needs data: give --data, a file of transactions or a folder of them\n"
    )  # fmt: skip


def test_a_file_without_a_payment_says_why(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"no row of .*payments\.csv is a payment by .*my\.toml: amount: not a number \(2\)"
    ):
        csv_feed(tmp_path, "a,7,s,x,2024-01-01,0", "b,7,s,y,2024-01-01,0").days()
    with pytest.raises(DataError, match="it has no rows"):
        csv_feed(tmp_path).days()


def test_utf_16_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("\n".join([HEADER, *ROWS]), encoding="utf-16")
    assert len(payments(feed_of(path, format={"encoding": "utf-16"}))) == 3


def test_days_are_those_of_the_payments_alone(tmp_path: Path) -> None:
    feed = csv_feed(tmp_path, *ROWS, "r,7,s,-5,2024-01-09,0", "x,7,s,?,2024-01-08,0")
    assert feed.days() == [date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3)]
    assert isinstance(next(feed.batches()).rows, pa.Table)


def test_a_replay_records_unknown_labels_and_refunds_of_its_day(
    bank: psycopg.Connection[Any], tmp_path: Path, tiny: TinyScorer
) -> None:
    feed = csv_feed(tmp_path, *ROWS, "r,7,s,-5,2024-01-03 13:00:00,0", "u,7,s,5,2024-01-03 13:00:00,")
    load(bank, feed, 1)
    day = date(2024, 1, 3)
    for _ in range(2):
        with ScorerClient(tiny.url, tiny.key, stop_after_attempt(3)) as scorer:
            played = replay(bank, scorer, day_to_play(feed, day, NOW))
        record_refunds(bank, feed, day)
        assert played.scored == 2
    assert (count(bank), count(bank, table="refunds"), count(bank, table="unknown_labels")) == (4, 1, 1)
    assert load(bank, feed, 0).rows_new == 0


def test_rows_whose_first_piece_is_empty_are_copied(bank: psycopg.Connection[Any]) -> None:
    """pyarrow 25 writes zero bytes for them, which PostgreSQL rejects."""
    rows = pa.table({"kind": pa.array([1]), "id": pa.array([2**40]), "fingerprint": pa.array([3])})
    bank.execute("create temporary table seen (kind smallint, id bigint, fingerprint bigint)")
    copy_rows(bank, "seen", pa.concat_tables([rows.slice(0, 0), rows]))
    assert bank.execute("select id from seen").fetchall() == [(2**40,)]


def test_errors_of_a_batch_that_is_read_ahead_reach_the_loader() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise DataError("broken")

    ahead = read_ahead(items())
    assert next(ahead) == 1
    with pytest.raises(DataError, match="broken"):
        next(ahead)
