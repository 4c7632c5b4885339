"""Loading: what came lands as it came, once, or nothing lands."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pytest

from bank.errors import DataError
from bank.feed import SimulatedFeed
from bank.load import load
from bank.published import PublishedFeed
from bank.settings import Settings
from bank.world import WorldSize

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WORLD = WorldSize(customers=60, terminals=120, days=20, seed=1)


def frame(days: int = 3, a_day: int = 4, start: str = "2018-04-01") -> pd.DataFrame:
    size = days * a_day
    return pd.DataFrame(
        {
            "TRANSACTION_ID": np.arange(size),
            "TX_DATETIME": pd.Timestamp(start) + pd.to_timedelta(np.arange(size) * 86_400 // a_day, unit="s"),
            "CUSTOMER_ID": np.arange(size) % 5,
            "TERMINAL_ID": np.arange(size) % 7,
            "TX_AMOUNT": np.round(np.linspace(0.01, 99.99, size), 2),
            "TX_FRAUD": (np.arange(size) == 1).astype(int),
            "TX_FRAUD_SCENARIO": 0,
        }
    )


def count(bank: psycopg.Connection, what: str = "count(*)", table: str = "transactions") -> Any:
    row = bank.execute(f"select {what} from bank.{table}").fetchone()  # type: ignore[arg-type]
    assert row is not None
    return row[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    frame().to_parquet(tmp_path / "payments.parquet")
    return tmp_path


def test_a_world_lands_whole_and_only_once(bank: psycopg.Connection) -> None:
    first = load(bank, SimulatedFeed(WORLD), 0)
    again = load(bank, SimulatedFeed(WORLD), 0)
    assert first.rows == first.rows_new == count(bank)
    assert (again.rows, again.rows_new, again.reports_new) == (first.rows, 0, 0)
    frauds = (
        "select count(*) from bank.fraud_reports r join bank.transactions t using (transaction_id)"
        " where r.reported_at = t.occurred_at + interval '7 days'"
    )
    assert bank.execute(frauds).fetchone() == (first.reports_new,)


def test_days_held_out_come_with_a_later_load(bank: psycopg.Connection) -> None:
    part = load(bank, SimulatedFeed(WORLD), 2)
    assert part.held_out == ["2025-01-19", "2025-01-20"]
    assert str(count(bank, "max(day)")) == part.last_day == "2025-01-18"
    assert count(bank, "max(day)", "fraud_reports") < date(2025, 1, 19)
    rest = load(bank, SimulatedFeed(WORLD), 0)
    assert part.rows + rest.rows_new == rest.rows == count(bank)


def test_the_same_file_under_another_name_adds_nothing(bank: psycopg.Connection, folder: Path) -> None:
    load(bank, PublishedFeed(folder, NOW), 0)
    (folder / "payments.parquet").rename(folder / "renamed.parquet")
    assert load(bank, PublishedFeed(folder, NOW), 0).rows_new == 0
    shutil.copy(folder / "renamed.parquet", folder / "twice.parquet")
    assert load(bank, PublishedFeed(folder, NOW), 0).rows_new == 0
    assert count(bank) == 12


def test_daily_pickles_are_read_as_parquet_is(bank: psycopg.Connection, tmp_path: Path) -> None:
    pickled = frame().astype({"CUSTOMER_ID": str, "TERMINAL_ID": object})
    for day, rows in pickled.groupby(pickled["TX_DATETIME"].dt.date):
        rows.to_pickle(tmp_path / f"{day}.pkl", protocol=4)
    loaded = load(bank, PublishedFeed(tmp_path, NOW), 1)
    assert (loaded.rows, loaded.first_day, loaded.last_day, loaded.held_out) == (
        8,
        "2018-04-01",
        "2018-04-02",
        ["2018-04-03"],
    )
    assert count(bank, "sum(customer_id)") == sum(n % 5 for n in range(8))


class Attack:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch attacked",)


@pytest.mark.parametrize("payload", [Attack(), {"a": Attack()}, [pd.read_pickle], "text"])
def test_a_pickle_runs_nothing(tmp_path: Path, payload: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "2018-04-01.pkl").write_bytes(pickle.dumps(payload))
    with pytest.raises(DataError, match=r"2018-04-01\.pkl"):
        PublishedFeed(tmp_path, NOW).days()
    assert not (tmp_path / "attacked").exists()


def test_rows_that_break_the_contract_land_as_they_came(bank: psycopg.Connection, tmp_path: Path) -> None:
    bad = frame().astype({"CUSTOMER_ID": "Int64", "TX_AMOUNT": float})
    bad.loc[0, "TX_DATETIME"] = pd.NaT
    bad.loc[2, "TX_AMOUNT"] = -5.0
    bad.loc[3, "TX_AMOUNT"] = np.nan
    bad.loc[4, "TX_AMOUNT"] = 1.005
    bad.loc[5, "CUSTOMER_ID"] = pd.NA
    bad.loc[6, "TRANSACTION_ID"] = 5
    bad.loc[7, "TX_DATETIME"] = pd.Timestamp("2099-01-01")
    bad.loc[8, "TX_AMOUNT"] = np.inf
    bad.to_parquet(tmp_path / "payments.parquet")
    assert load(bank, PublishedFeed(tmp_path, NOW), 0).rows_new == 12
    landed = bank.execute(
        "select transaction_id, customer_id, amount::text, occurred_at, day from bank.transactions order by source_row"
    ).fetchall()
    assert landed[0][3:] == (None, date(2018, 4, 1))
    assert [landed[row][2] for row in (2, 3, 4, 8)] in (
        ["-5", "NaN", "1.005", "Infinity"],
        ["-5", None, "1.005", "Infinity"],
    )
    assert landed[5][1] is None
    assert landed[6][0] == landed[5][0] == 5
    assert (landed[7][3].year, landed[7][4]) == (2099, date(2018, 4, 2))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: f.drop(columns="TX_AMOUNT"), "lacks the column TX_AMOUNT"),
        (lambda f: f.assign(TX_AMOUNT="twelve"), "column TX_AMOUNT holds string"),
        (lambda f: f.assign(CUSTOMER_ID="C-17"), "column CUSTOMER_ID cannot be read as int64"),
        (lambda f: f.assign(CUSTOMER_ID=1.5), "column CUSTOMER_ID cannot be read as int64"),
        (lambda f: f.assign(TX_DATETIME="yesterday"), "column TX_DATETIME holds string"),
        (lambda f: f.iloc[:0], "holds no payment"),
    ],
)
def test_data_that_cannot_be_read_is_named_and_nothing_lands(
    bank: psycopg.Connection, folder: Path, spoil: Any, words: str
) -> None:
    """The bad file comes last, after one that is good."""
    spoilt = spoil(frame(start="2018-05-01"))
    if len(spoilt) == 0:
        (folder / "payments.parquet").unlink()
    spoilt.to_parquet(folder / "worse.parquet")
    with pytest.raises(DataError, match=words):
        load(bank, PublishedFeed(folder, NOW), 0)
    bank.rollback()
    assert count(bank) == 0


def test_payments_without_any_time_are_refused(folder: Path) -> None:
    frame().assign(TX_DATETIME=pd.Series(pd.NaT, index=range(12), dtype="datetime64[us]")).to_parquet(
        folder / "payments.parquet"
    )
    with pytest.raises(DataError, match="no usable time"):
        PublishedFeed(folder, NOW).days()


def test_a_truncated_file_is_named(bank: psycopg.Connection, folder: Path) -> None:
    whole = (folder / "payments.parquet").read_bytes()
    (folder / "payments.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"payments\.parquet cannot be read as Parquet"):
        load(bank, PublishedFeed(folder, NOW), 0)


def test_features_beside_payments_are_left_aside(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame().assign(TX_DURING_NIGHT=0).to_parquet(folder / "features.parquet")
    assert [path.name for path in PublishedFeed(folder, NOW).files] == ["payments.parquet"]
    assert "left aside: features.parquet" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_no_folder_and_no_payments_are_said_plainly(
    settings: Settings, secrets_dir: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "empty").mkdir()
    environment = os.environ | {"BANK_URL": settings.bank_url, "SECRETS_DIR": str(secrets_dir)}
    command = [sys.executable, "-m", "bank.load", "--data", str(tmp_path / name)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert str(tmp_path / name) in done.stderr


def test_a_load_that_dies_leaves_nothing(
    bank: psycopg.Connection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame(start="2018-05-01").to_parquet(folder / "second.parquet")
    seen = []

    def die(*_: Any) -> int:
        seen.append(1)
        if len(seen) > 1:
            raise KeyboardInterrupt
        return 0

    monkeypatch.setattr("bank.load.reports_of", lambda rows: die() or frame_reports(rows))
    with pytest.raises(KeyboardInterrupt):
        load(bank, PublishedFeed(folder, NOW), 0)
    bank.rollback()
    assert count(bank) == 0


def frame_reports(rows: Any) -> Any:
    from bank.feed import reports_of

    return reports_of(rows)
