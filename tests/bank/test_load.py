"""Loading: every row is stored unmodified, once, or nothing is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import psycopg
import pytest

from bank.errors import BankError, DataError
from bank.feed import Batch, Feed, SimulatedFeed
from bank.landing import open_bank
from bank.load import Loaded, load
from bank.published_feed import PublishedFeed
from bank.settings import Settings
from bank.simulator import Simulation
from tests.bank.frames import count, frame

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WORLD = Simulation(customers=60, terminals=120, days=20, seed=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    frame().to_parquet(tmp_path / "payments.parquet")
    return tmp_path


@pytest.fixture
def environment(settings: Settings, secrets_dir: Path) -> dict[str, str]:
    return os.environ | {"BANK_URL": settings.bank_url, "SECRETS_DIR": str(secrets_dir)}


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "bank.load", *options]


def test_a_simulation_is_loaded_completely_and_only_once(bank: psycopg.Connection) -> None:
    first = load(bank, SimulatedFeed(WORLD), 0)
    again = load(bank, SimulatedFeed(WORLD), 0)
    assert first.rows == first.rows_new == count(bank)
    assert (again.rows, again.rows_new, again.reports_new) == (first.rows, 0, 0)
    frauds = (
        "select count(*) from bank.fraud_reports r join bank.transactions t using (transaction_id)"
        " where r.reported_at = t.occurred_at + interval '7 days'"
    )
    assert bank.execute(frauds).fetchone() == (first.reports_new,)


def test_two_simulations_are_stored_side_by_side(bank: psycopg.Connection) -> None:
    first = load(bank, SimulatedFeed(WORLD), 0)
    other = load(bank, SimulatedFeed(Simulation(60, 120, 20, seed=2)), 0)
    assert count(bank) == first.rows_new + other.rows_new
    assert other.rows_new == other.rows


def test_held_out_days_are_loaded_later(bank: psycopg.Connection) -> None:
    part = load(bank, SimulatedFeed(WORLD), 2)
    assert part.held_out == ["2025-01-19", "2025-01-20"]
    assert str(count(bank, "max(day)")) == part.last_day == "2025-01-18"
    assert count(bank, "max(day)", "fraud_reports") < date(2025, 1, 19)
    more = load(bank, SimulatedFeed(WORLD), 1)
    rest = load(bank, SimulatedFeed(WORLD), 0)
    assert part.rows + more.rows_new + rest.rows_new == rest.rows == count(bank)


def test_days_without_payments_are_not_held_out(bank: psycopg.Connection, folder: Path) -> None:
    """Nor are days of a simulation without payments."""
    frame(1, start="2018-05-20").to_parquet(folder / "later.parquet")
    loaded = load(bank, PublishedFeed(folder, NOW), 2)
    assert (loaded.last_day, loaded.held_out) == ("2018-04-02", ["2018-04-03", "2018-05-20"])
    days = SimulatedFeed(Simulation(customers=1, terminals=1, days=60, seed=1)).days()
    assert 20 < len(days) < 60


def test_a_fraud_reported_on_the_first_held_out_day_is_held_out(bank: psycopg.Connection, tmp_path: Path) -> None:
    """The fraud of 2018-04-01 06:00 is reported on 2018-04-08 06:00."""
    frame(8).to_parquet(tmp_path / "payments.parquet")
    assert load(bank, PublishedFeed(tmp_path, NOW), 1).reports_new == 0
    assert load(bank, PublishedFeed(tmp_path, NOW), 0).reports_new == 1


@pytest.mark.parametrize("days", [3, 4])
def test_holding_out_every_day_is_rejected(bank: psycopg.Connection, folder: Path, days: int) -> None:
    with pytest.raises(BankError, match=f"--hold-out-days {days} leaves none of 3 days"):
        load(bank, PublishedFeed(folder, NOW), days)


def test_the_same_file_under_another_name_adds_nothing(bank: psycopg.Connection, folder: Path) -> None:
    load(bank, PublishedFeed(folder, NOW), 0)
    (folder / "payments.parquet").rename(folder / "renamed.parquet")
    assert load(bank, PublishedFeed(folder, NOW), 0).rows_new == 0
    assert count(bank) == 12


def test_a_file_and_its_copy_are_loaded_once(bank: psycopg.Connection, folder: Path) -> None:
    (folder / "copy.parquet").write_bytes((folder / "payments.parquet").read_bytes())
    assert load(bank, PublishedFeed(folder, NOW), 0).rows_new == 12
    assert load(bank, PublishedFeed(folder, NOW), 0).rows_new == 0


def test_a_file_added_later_is_loaded_too(bank: psycopg.Connection, folder: Path) -> None:
    load(bank, PublishedFeed(folder, NOW), 0)
    frame(start="2018-05-01", first_id=12).to_parquet(folder / "another.parquet")
    loaded = load(bank, PublishedFeed(folder, NOW), 0)
    assert (loaded.rows, loaded.rows_new, count(bank, "count(distinct transaction_id)")) == (24, 12, 24)


def test_daily_pickles_are_read_like_parquet(bank: psycopg.Connection, tmp_path: Path) -> None:
    pickled = frame().astype({"CUSTOMER_ID": str, "TERMINAL_ID": object})
    for day, rows in pickled.groupby(pickled["TX_DATETIME"].dt.date):
        rows.to_pickle(tmp_path / f"{day}.pkl", protocol=4)
    loaded = load(bank, PublishedFeed(tmp_path, NOW), 1)
    assert (loaded.rows, loaded.first_day, loaded.last_day) == (8, "2018-04-01", "2018-04-02")
    assert loaded.held_out == ["2018-04-03"]
    assert count(bank, "sum(customer_id)") == sum(n % 5 for n in range(8))


@pytest.mark.parametrize("name", ["payments.parquet", "2018-04-01.pkl"])
def test_invalid_rows_are_stored_unmodified(bank: psycopg.Connection, tmp_path: Path, name: str) -> None:
    bad = frame().astype({"CUSTOMER_ID": object})
    bad.loc[0, "TX_DATETIME"] = pd.NaT
    bad.loc[2, "TX_AMOUNT"] = -5.0
    bad.loc[3, "TX_AMOUNT"] = np.nan
    bad.loc[4, "TX_AMOUNT"] = 1.005
    bad.loc[5, "CUSTOMER_ID"] = None
    bad.loc[6, "TRANSACTION_ID"] = 5
    bad.loc[7, "TX_DATETIME"] = pd.Timestamp("2099-01-01")
    bad.loc[8, "TX_AMOUNT"] = np.inf
    bad.loc[9, ["TRANSACTION_ID", "TERMINAL_ID"]] = [2**63 - 1, -3]
    bad.loc[10, "TX_DATETIME"] = pd.Timestamp("1969-07-20")
    bad.loc[11, "TX_AMOUNT"] = 1e300
    if name.endswith(".pkl"):
        bad.to_pickle(tmp_path / name)
    else:
        bad.to_parquet(tmp_path / name)
    assert load(bank, PublishedFeed(tmp_path, NOW), 0).rows_new == 12
    landed = bank.execute(
        "select transaction_id, customer_id, terminal_id, amount, occurred_at, day"
        " from bank.transactions order by source_row"
    ).fetchall()
    assert landed[0][4:] == (None, date(2018, 4, 1))
    assert str(landed[1][3]) == "9.1"
    # pandas writes NaN as null into Parquet, and as NaN into a pickle.
    assert [str(landed[row][3]) for row in (2, 3, 4, 8)] == [
        "-5", "NaN" if name.endswith(".pkl") else "None", "1.005", "Infinity"
    ]  # fmt: skip
    assert landed[5][1] is None
    assert landed[6][0] == landed[5][0] == 5
    assert (landed[7][4].year, landed[7][5]) == (2099, date(2018, 4, 2))
    assert (landed[9][0], landed[9][2]) == (2**63 - 1, -3)
    assert (landed[10][4].year, landed[10][5]) == (1969, date(2018, 4, 3))
    assert landed[11][3] == 10**300


def test_unreadable_data_loads_nothing(bank: psycopg.Connection, folder: Path) -> None:
    """The bad file comes last, after a good one."""
    frame(start="2018-05-01").assign(TX_AMOUNT="twelve").to_parquet(folder / "worse.parquet")
    with pytest.raises(DataError, match=r"worse\.parquet"):
        load(bank, PublishedFeed(folder, NOW), 0)
    bank.rollback()
    assert count(bank) == 0


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--data", "missing"], 1, "error: there is no folder missing: set DATA= to a folder"),
        (["--data", "empty"], 1, "error: no payments in empty: put Parquet files"),
        (["--data", "truncated"], 1, "error: truncated/payments.parquet cannot be read as Parquet"),
        (
            ["--customers", "5", "--days", "3", "--hold-out-days", "3"],
            1,
            "error: --hold-out-days 3 leaves none of 3 days",
        ),
        (["--hold-out-days", "-1"], 2, "must be a whole number, 0 or more, not '-1'"),
        (["--customers", "0"], 2, "must be a whole number, 1 or more, not '0'"),
        (["--seed", "x"], 2, "must be a whole number, 0 or more, not 'x'"),
    ],
)
def test_a_user_fixable_error_is_one_line(
    folder: Path, environment: dict[str, str], options: list[str], code: int, words: str
) -> None:
    (folder / "empty").mkdir()
    (folder / "truncated").mkdir()
    whole = (folder / "payments.parquet").read_bytes()
    (folder / "truncated/payments.parquet").write_bytes(whole[: len(whole) // 2])
    environment |= {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command(*options), env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert words in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert code == 2 or len(done.stderr.splitlines()) == 1


def test_a_missing_migration_is_reported(environment: dict[str, str], settings: Settings) -> None:
    elsewhere = {"BANK_URL": settings.bank_url.replace("bank_tests", "nowhere")}
    done = subprocess.run(
        command("--customers", "5", "--days", "3"),
        env=environment | elsewhere,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "nowhere" in done.stderr
    assert "and that `python -m bank.migrate` was run" in done.stderr


def test_the_command_ends_with_one_line_of_json(
    bank: psycopg.Connection, folder: Path, environment: dict[str, str]
) -> None:
    done = subprocess.run(command("--data", str(folder)), env=environment, capture_output=True, text=True, check=True)
    assert "loading: 12 payments" in done.stderr
    said = json.loads(done.stdout)
    assert said.pop("seconds") >= 0
    assert said == {
        "rows": 12,
        "rows_new": 12,
        "reports_new": 1,
        "first_day": "2018-04-01",
        "last_day": "2018-04-03",
        "held_out": [],
    }


KILLED_AT_ITS_SECOND_FILE = """
import os, sys
import bank.load
land, landed = bank.load.land, []
def land_and_die(bank, table, source, rows, new):
    landed.append(land(bank, table, source, rows, new))
    if len(landed) == 3:
        os.kill(os.getpid(), 9)
    return landed[-1]
bank.load.land = land_and_die
sys.argv = ["load", "--data", sys.argv[1]]
bank.load.main()
"""


def test_a_killed_load_leaves_nothing_and_can_be_repeated(
    bank: psycopg.Connection, folder: Path, environment: dict[str, str]
) -> None:
    frame(start="2018-05-01").to_parquet(folder / "second.parquet")
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_AT_ITS_SECOND_FILE, str(folder)],
        env=environment | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert count(bank) == 0
    bank.rollback()
    # It waits until the server notices the dead connection and releases its lock.
    assert load(bank, PublishedFeed(folder, NOW), 0).rows_new == 24


@dataclass(frozen=True)
class Paused:
    """A feed that pauses after its first batch until it is resumed."""

    feed: Feed
    begun: threading.Event
    go_on: threading.Event

    def days(self) -> list[date]:
        return self.feed.days()

    def total(self) -> int:
        return self.feed.total()

    def batches(self) -> Iterator[Batch]:
        for batch in self.feed.batches():
            yield batch
            self.begun.set()
            self.go_on.wait()


def test_concurrent_loads_of_the_same_data_take_turns(
    bank: psycopg.Connection, admin: psycopg.Connection, settings: Settings
) -> None:
    begun, go_on, loaded = threading.Event(), threading.Event(), list[Loaded]()

    def load_it(feed: Feed) -> None:
        with open_bank(settings) as connection:
            loaded.append(load(connection, feed, 0))

    first = threading.Thread(target=load_it, args=[Paused(SimulatedFeed(WORLD), begun, go_on)])
    second = threading.Thread(target=load_it, args=[SimulatedFeed(WORLD)])
    first.start()
    assert begun.wait(60)
    second.start()
    waiting = "select count(*) from pg_locks where not granted"
    while admin.execute(waiting).fetchone() == (0,) and second.is_alive():
        time.sleep(0.01)
    go_on.set()
    first.join()
    second.join()
    assert [one.rows_new for one in loaded] == [count(bank), 0]
