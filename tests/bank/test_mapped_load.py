"""Files read by a map are loaded once, with refunds, unknown labels and the register of hashed ids."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from tenacity import stop_after_attempt

from bank.errors import DataError
from bank.landing import copy_rows
from bank.load import load
from bank.mapped.ids import IdKey
from bank.prefetch import read_ahead
from bank.replay import day_to_play, record_refunds, replay
from bank.scorer_client import ScorerClient
from bank.settings import Settings
from tests.bank.conftest import TinyScorer
from tests.bank.frames import count
from tests.bank.mapped import HEADER, NOW, ROWS, csv_feed, payments, refunds


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


def test_refunds_of_held_out_days_without_payments_are_recorded_too(
    bank: psycopg.Connection[Any], tmp_path: Path
) -> None:
    days = ["2024-01-01", "2024-01-03", "2024-01-06"]
    rows = [f"{day},7,s,5,{day},0" for day in days]
    returned = [f"r{day},7,s,-{day},2024-01-{day:02} 13:00:00,0" for day in (1, 2, 3, 4, 5, 7, 9)]
    feed = csv_feed(tmp_path, *rows, *returned)
    load(bank, feed, 2)
    assert count(bank, "array_agg(amount order by amount)", "refunds") == [1, 2]
    record_refunds(bank, feed, date(2024, 1, 3))
    assert count(bank, "array_agg(amount order by amount)", "refunds") == [1, 2, 3, 4, 5]
    record_refunds(bank, feed, date(2024, 1, 6))
    assert count(bank, "array_agg(amount order by amount)", "refunds") == [1, 2, 3, 4, 5, 7, 9]


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
