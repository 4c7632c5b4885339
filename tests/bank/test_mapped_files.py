"""Files read by a map: any form of file, in bounded pieces; one that cannot be read is named with what to do."""

from __future__ import annotations

import bz2
import gzip
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import bank.mapped.readers
from bank.errors import DataError
from tests.bank.mapped import HEADER, ROWS, csv_feed, feed_of, payments

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


def test_utf_16_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("\n".join([HEADER, *ROWS]), encoding="utf-16")
    assert len(payments(feed_of(path, format={"encoding": "utf-16"}))) == 3


def test_linked_folders_are_read_and_folders_of_tables_with_versions_refused(tmp_path: Path) -> None:
    data, real = tmp_path / "data", tmp_path / "real"
    data.mkdir()
    real.mkdir()
    csv_feed(real, *ROWS)
    (data / "_country=DE").symlink_to(real)
    (data / "again").symlink_to(data)
    assert len(payments(feed_of(data))) == 3
    (real / "_delta_log").mkdir()
    with pytest.raises(DataError, match="is a table of Delta Lake"):
        feed_of(data).days()
