"""A file that is loaded again: only rows added at its end are new, and one that was changed otherwise is refused."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tenacity import stop_after_attempt

import bank.mapped.contents
from bank import known_contents
from bank.errors import DataError
from bank.load import load
from bank.mapped.contents import Contents, digest_of
from bank.mapped.files import DataFile
from bank.replay import day_to_play, record_refunds, replay
from bank.scorer_client import ScorerClient
from bank.settings import Settings
from tests.bank.conftest import TinyScorer
from tests.bank.frames import count
from tests.bank.mapped import COLUMNS, HEADER, NOW, csv_feed, feed_of, payments

ROWS = [f"a{n},{n % 3},shop,{n}.50,2024-01-{n + 1:02} 10:00:00,{int(n == 1)}" for n in range(12)]
REFUND, UNKNOWN = "r,1,shop,-5,2024-01-04,0", "u,1,shop,5,2024-01-04,"
NUMBERED = {"transaction_id": "row"}


@pytest.mark.parametrize("columns", [None, NUMBERED])
def test_of_a_file_that_has_grown_only_the_new_rows_are_loaded(
    bank: psycopg.Connection[Any], tmp_path: Path, columns: dict[str, Any] | None
) -> None:
    load(bank, csv_feed(tmp_path, *ROWS[:3], REFUND, UNKNOWN, columns=columns), 0)
    grown = load(bank, csv_feed(tmp_path, *ROWS[:3], REFUND, UNKNOWN, *ROWS[3:6], columns=columns), 0)
    assert (grown.rows_new, count(bank)) == (3, 7)
    longest = csv_feed(tmp_path, *ROWS[:3], REFUND, UNKNOWN, *ROWS[3:9], REFUND, columns=columns)
    assert load(bank, longest, 0).rows_new == 3
    assert [count(bank, table=one) for one in ("refunds", "unknown_labels", "sources")] == [2, 1, 1]
    ids = bank.execute("select transaction_id from bank.transactions order by source_row").fetchall()
    assert [row[0] for row in ids] == [row["transaction_id"] for row in payments(longest)]
    assert load(bank, longest, 0).rows_new == 0
    assert load(bank, csv_feed(tmp_path, *ROWS[:3], REFUND, UNKNOWN, columns=columns), 0).rows_new == 0
    assert count(bank, "count(distinct transaction_id)") == count(bank) == 10


@pytest.mark.parametrize("columns", [None, NUMBERED])
def test_a_corrected_file_is_refused_and_nothing_is_loaded(
    bank: psycopg.Connection[Any], tmp_path: Path, columns: dict[str, Any] | None
) -> None:
    load(bank, csv_feed(tmp_path, *ROWS, columns=columns), 0)
    corrected = csv_feed(tmp_path, ROWS[0].replace("0.50", "0.99"), *ROWS[1:], columns=columns)
    with pytest.raises(DataError, match=r"11 of the 12 payments of payments\.csv are loaded already, from another"):
        load(bank, corrected, 0)
    assert [count(bank), count(bank, table="sources"), count(bank, table="contents")] == [12, 1, 1]


CORRECTED = [ROWS[0].replace("0.50", "0.99"), *ROWS[1:]]


@pytest.mark.parametrize(
    "command", [["bank.replay", "--day", "2024-01-12"], ["bank.live", "--hold-out-days", "1"], ["bank.load"]]
)
def test_no_command_takes_a_corrected_file(
    bank: psycopg.Connection[Any],
    tmp_path: Path,
    tiny: TinyScorer,
    settings: Settings,
    secrets_dir: Path,
    command: list[str],
) -> None:
    addresses = {"BANK_URL": settings.bank_url, "SCORER_URL": tiny.url, "SECRETS_DIR": str(secrets_dir)}
    columns = "".join(f'{ours} = "{theirs}"\n' for ours, theirs in {**COLUMNS, "fraud": "fraud"}.items())
    (tmp_path / "my.toml").write_text(f"[columns]\n{columns}")

    def run(*words: str) -> str:
        options = ["--data", str(tmp_path / "payments.csv"), "--map", str(tmp_path / "my.toml")]
        whole = [sys.executable, "-m", *words, *options]
        return subprocess.run(whole, env=os.environ | addresses, capture_output=True, text=True, check=False).stderr

    csv_feed(tmp_path, *ROWS)
    run("bank.load", "--hold-out-days", "1")
    assert count(bank) == 11
    bank.rollback()
    csv_feed(tmp_path, *CORRECTED)
    assert "10 of the 12 payments of payments.csv are loaded already" in run(*command)
    assert (count(bank), tiny.posted) == (11, [])


def test_a_corrected_file_of_a_day_that_was_replayed_is_refused(
    bank: psycopg.Connection[Any], tmp_path: Path, tiny: TinyScorer
) -> None:
    """No row of it would be loaded, as its day is held out."""
    day = date(2024, 1, 31)
    last = [f"z{n},{n % 3},shop,{n}.50,2024-01-31 10:00:00,0" for n in range(12)]
    (tmp_path / "a.csv").write_text("\n".join([HEADER, *ROWS]) + "\n")
    (tmp_path / "z.csv").write_text("\n".join([HEADER, *last]) + "\n")
    load(bank, feed_of(tmp_path), 1)
    with ScorerClient(tiny.url, tiny.key, stop_after_attempt(3)) as scorer:
        replay(bank, scorer, day_to_play(feed_of(tmp_path), day, NOW))
    (tmp_path / "z.csv").write_text("\n".join([HEADER, last[0].replace("0.50", "0.99"), *last[1:]]) + "\n")
    with pytest.raises(DataError, match=r"11 of the 12 payments of z\.csv are loaded already"):
        load(bank, feed_of(tmp_path), 1)


def test_a_corrected_file_has_not_grown_from_one_without_rows(bank: psycopg.Connection[Any], tmp_path: Path) -> None:
    """It begins with the header that this one consists of."""
    (tmp_path / "b.csv").write_text("\n".join([HEADER, *ROWS]) + "\n")
    load(bank, feed_of(tmp_path), 0)
    (tmp_path / "a.csv").write_text(f"{HEADER}\n")
    load(bank, feed_of(tmp_path), 0)
    (tmp_path / "b.csv").write_text("\n".join([HEADER, *CORRECTED]) + "\n")
    with pytest.raises(DataError, match=r"11 of the 12 payments of b\.csv are loaded already"):
        load(bank, feed_of(tmp_path), 0)


def test_a_new_file_is_replayed_without_a_load_and_may_grow(
    bank: psycopg.Connection[Any], tmp_path: Path, tiny: TinyScorer
) -> None:
    load(bank, csv_feed(tmp_path, *ROWS), 0)
    (tmp_path / "day.csv").write_text(f"{HEADER}\nz1,7,shop,5,2024-01-31,0\n")
    feed, day = feed_of(tmp_path), date(2024, 1, 31)
    known_contents.admit(bank, feed)
    with ScorerClient(tiny.url, tiny.key, stop_after_attempt(3)) as scorer:
        assert replay(bank, scorer, day_to_play(feed, day, NOW)).scored == 1
    with (tmp_path / "day.csv").open("a") as grown:
        grown.write("z2,7,shop,6,2024-01-31 01:00:00,0\n")
    assert load(bank, feed_of(tmp_path), 0).rows_new == 1


def test_the_comparison_of_a_new_file_is_a_join(bank: psycopg.Connection[Any]) -> None:
    """Not a scan of the whole bank for each of its rows."""
    bank.execute(known_contents.INCOMING)
    plan = bank.execute(f"explain {known_contents.LOADED}".encode(), {"numbered": True}).fetchall()
    assert "SubPlan" not in str(plan)


def test_some_repeated_payments_stay_for_validation(bank: psycopg.Connection[Any], tmp_path: Path) -> None:
    load(bank, csv_feed(tmp_path, ROWS[0]), 0)
    assert load(bank, csv_feed(tmp_path, *ROWS[1:], ROWS[0]), 0).rows_new == 12


def test_of_a_file_that_is_written_to_meanwhile_nothing_is_loaded(
    bank: psycopg.Connection[Any], tmp_path: Path
) -> None:
    """Its last row would be loaded as it was cut, and stay so."""
    feed = csv_feed(tmp_path, *ROWS[:3])
    feed.days()
    whole = feed.data.read_text()
    feed.data.write_text(whole + ROWS[3][:10])
    with pytest.raises(DataError, match=r"payments\.csv was written to while it was read: load it again when"):
        load(bank, feed, 0)
    assert count(bank) == 0
    feed.data.write_text(whole + ROWS[3] + "\n")
    assert load(bank, feed_of(feed.data), 0).rows_new == 4


@pytest.mark.parametrize(
    ("repeated", "columns", "rejected"),
    [(1, None, False), (3, None, False), (4, None, True), (1, NUMBERED, True)],
)
def test_a_small_file_may_repeat_a_few_ids(
    bank: psycopg.Connection[Any], tmp_path: Path, repeated: int, columns: dict[str, Any] | None, rejected: bool
) -> None:
    """Payments without ids would count twice."""
    load(bank, csv_feed(tmp_path, *ROWS[:4], columns=columns), 0)
    feed = csv_feed(tmp_path, *ROWS[4:9], *ROWS[:repeated], columns=columns)
    with pytest.raises(DataError, match="are loaded already") if rejected else nullcontext():
        load(bank, feed, 0)
    assert count(bank) == 4 + (0 if rejected else 5 + repeated)


def test_a_copy_with_few_payments_is_refused(bank: psycopg.Connection[Any], tmp_path: Path) -> None:
    load(bank, csv_feed(tmp_path, *ROWS[:3]), 0)
    with pytest.raises(DataError, match="3 of the 3 payments"):
        load(bank, csv_feed(tmp_path, *reversed(ROWS[:3])), 0)


def test_files_with_the_same_beginning_are_not_taken_for_one(bank: psycopg.Connection[Any], tmp_path: Path) -> None:
    """Each day's file has the header, and the one of a day without payments nothing else."""
    path = tmp_path / "a.csv"
    path.write_text(f"{HEADER}\n")
    for name, row in (("b", ROWS[1]), ("c", ROWS[2])):
        (tmp_path / f"{name}.csv").write_text(f"{HEADER}\n{row}\n")
    load(bank, feed_of(tmp_path), 0)
    (tmp_path / "d.csv").write_text(f"{HEADER}\n{ROWS[3]}\n")
    load(bank, feed_of(tmp_path), 0)
    assert count(bank, "array_agg(distinct amount order by amount)") == [1.5, 2.5, 3.5]


def test_of_exports_that_grow_in_one_folder_the_last_one_is_loaded(
    bank: psycopg.Connection[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, rows in (("z_first", ROWS[:2]), ("m_next", ROWS[:4]), ("a_last", ROWS[:7])):
        content = "\n".join([HEADER, *rows]) + "\n"
        (tmp_path / f"{name}.csv.gz").write_bytes(gzip.compress(content.encode()))
    assert load(bank, feed_of(tmp_path), 0).rows == count(bank) == 7
    assert "ignored: m_next.csv.gz is the beginning of a_last.csv.gz" in capsys.readouterr().err


def test_a_file_that_grew_after_the_load_is_replayed_under_its_source(
    bank: psycopg.Connection[Any], tmp_path: Path, tiny: TinyScorer
) -> None:
    load(bank, csv_feed(tmp_path, *ROWS[:4]), 1)
    feed, day = csv_feed(tmp_path, *ROWS), date(2024, 1, 4)
    assert known_contents.take_over(bank, feed)
    with ScorerClient(tiny.url, tiny.key, stop_after_attempt(3)) as scorer:
        replay(bank, scorer, day_to_play(feed, day, NOW))
    record_refunds(bank, feed, day)
    assert (count(bank), count(bank, table="sources")) == (4, 1)
    assert load(bank, feed, 0).rows_new == 8


LINES = st.lists(st.text("ab\r", max_size=4), min_size=1, max_size=8)


@given(LINES, st.data(), st.integers(1, 9), st.sampled_from(["\n", "\r\n"]))
@settings(max_examples=60, deadline=None)
def test_a_file_has_grown_where_it_begins_with_whole_lines_of_the_earlier_one(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], data: st.DataObject, block: int, end: str
) -> None:
    whole = b"x" + end.join(lines).encode() + b"x"
    cut = data.draw(st.integers(1, len(whole) - 1))
    folder = tmp_path_factory.mktemp("grown")
    early, late = DataFile(folder / "early.csv"), DataFile(folder / "late.csv")
    early.path.write_bytes(whole[:cut])
    late.path.write_bytes(whole)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bank.mapped.contents, "BLOCK_BYTES", block)
        contents = Contents()
        first, second = (contents.identify(file, frozenset(), *digest_of(file, frozenset())) for file in (early, late))
    assert (first == second) == (whole[cut - 1 : cut] in b"\r\n" or whole[cut : cut + 1] in b"\r\n")
