"""The live replay: every payment of a day once, in order of time, to the scorer and into the bank."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pytest
from tenacity import stop_after_attempt

from bank.errors import BankError
from bank.load import load
from bank.published_feed import PublishedFeed
from bank.replay import ReplayResult, day_to_play, replay
from bank.scorer_client import ScorerClient
from bank.settings import Settings
from tests.bank.conftest import TinyScorer
from tests.bank.frames import count, frame

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = date(2018, 4, 9)
MORNING = pd.Timestamp("2018-04-09 08:00")


def play(bank: psycopg.Connection, tiny: TinyScorer, folder: Path, day: date = DAY, clients: int = 1) -> ReplayResult:
    with ScorerClient(tiny.url, tiny.key, stop_after_attempt(3)) as scorer:
        return replay(bank, scorer, day_to_play(PublishedFeed(folder, NOW), day, NOW), clients)


def live_day(**columns: Any) -> pd.DataFrame:
    """Ten payments a quarter of an hour apart on the live day, ids from 100; `columns` are set on all of them."""
    times = MORNING + pd.to_timedelta(np.arange(10) * 900, unit="s")
    return frame(1, 10, first_id=100).assign(**{"TX_DATETIME": times, "TX_FRAUD": 0} | columns)


def wait_for(ready: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """History whose one fraud (payment 1, 2018-04-02 06:00) falls due on the live day, and the live day."""
    frame(4, 4).assign(TX_DATETIME=lambda f: f["TX_DATETIME"] + pd.Timedelta(days=1)).to_parquet(tmp_path / "a.parquet")
    live_day().to_parquet(tmp_path / "b.parquet")
    return tmp_path


@dataclass(frozen=True)
class Run:
    """Runs the command as a user does."""

    command: list[str]
    environment: dict[str, str]

    def __call__(self, *options: str, **changed: str) -> subprocess.CompletedProcess[str]:
        environment = self.environment | changed
        return subprocess.run([*self.command, *options], env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def run(settings: Settings, secrets_dir: Path, tiny: TinyScorer, folder: Path) -> Run:
    addresses = {"BANK_URL": settings.bank_url, "SCORER_URL": tiny.url, "SECRETS_DIR": str(secrets_dir)}
    command = [sys.executable, "-m", "bank.replay", "--data", str(folder), "--day", str(DAY)]
    return Run(command, os.environ | addresses)


def test_a_day_is_scored_in_order_and_recorded(bank: psycopg.Connection, tiny: TinyScorer, folder: Path) -> None:
    # Out of order in the file; three of them at one second.
    live = live_day(TX_AMOUNT=[*[10.0] * 8, 250.0, 300.25]).sample(frac=1, random_state=1)
    live.loc[live["TRANSACTION_ID"] < 103, "TX_DATETIME"] = MORNING
    live.loc[live["TRANSACTION_ID"].isin([101, 109]), "TX_FRAUD"] = 1
    live.to_parquet(folder / "b.parquet")
    played = play(bank, tiny, folder)
    assert tiny.scored == list(range(100, 110))
    assert (played.scored, dict(played.decisions)) == (10, {"approve": 8, "review": 0, "decline": 2})
    assert (played.frauds, played.frauds_caught, played.reports) == (2, 1, 1)
    assert len(tiny.connections) == 1, "one connection, kept open"
    assert tiny.posted[-1][1] == {
        "transaction_id": 109,
        "customer_id": 4,
        "terminal_id": 2,
        "amount": 300.25,
        "occurred_at": "2018-04-09T10:15:00Z",
    }
    assert count(bank) == 10
    assert count(bank, "bool_and(arrived_at = occurred_at)") is True


def test_several_clients_keep_the_order_of_each_customer_and_terminal(
    bank: psycopg.Connection, tiny: TinyScorer, folder: Path
) -> None:
    """The first payment is answered late; only those that share neither its customer nor its terminal overtake it."""
    live = live_day(CUSTOMER_ID=[1, 2, 1, 3, 4, 5, 6, 7, 8, 9], TERMINAL_ID=[1, 2, 3, 1, 4, 5, 6, 7, 8, 9])
    live.to_parquet(folder / "b.parquet")

    def answer(number: int) -> int:
        if number == 100:
            wait_for(lambda: 101 in tiny.scored)
        if number == 105:
            wait_for(lambda: {106, 107} <= set(tiny.scored))
        return 200

    tiny.answer = answer
    played = play(bank, tiny, folder, clients=3)
    assert (played.scored, played.reports, count(bank)) == (10, 1, 10)
    at = {number: position for position, number in enumerate(tiny.scored)}
    assert at[101] < at[100] < min(at[102], at[103])
    assert max(at[106], at[107]) < at[105]
    assert 1 < len(tiny.connections) <= 3


def test_a_rejection_among_several_clients_records_every_answered_payment(
    bank: psycopg.Connection, tiny: TinyScorer, folder: Path
) -> None:
    live_day(CUSTOMER_ID=range(10), TERMINAL_ID=range(10)).to_parquet(folder / "b.parquet")

    def answer(number: int) -> int:
        if number == 103:
            wait_for(lambda: 104 in tiny.scored)
            return 422
        return 200

    tiny.answer = answer
    with pytest.raises(BankError, match=r"rejects .*'transaction_id': 103"):
        play(bank, tiny, folder, clients=3)
    recorded = bank.execute("select transaction_id from bank.transactions order by 1").fetchall()
    assert [number for (number,) in recorded] == sorted(tiny.scored)
    assert {100, 101, 102, 104} <= set(tiny.scored) <= set(range(100, 110)) - {103}


def test_a_fraud_is_reported_after_its_delay(bank: psycopg.Connection, tiny: TinyScorer, folder: Path) -> None:
    """A report comes before a payment of the same second, whatever their ids."""
    live_day(TRANSACTION_ID=0, TX_DATETIME=pd.Timestamp("2018-04-09 06:00")).iloc[:1].to_parquet(folder / "b.parquet")
    assert play(bank, tiny, folder).reports == 1
    assert [path for path, _ in tiny.posted] == ["/v1/fraud-reports", "/v1/score"]
    assert tiny.posted[0][1] == {"reports": [{"transaction_id": 1, "reported_at": "2018-04-09T06:00:00Z"}]}
    due = datetime(2018, 4, 9, 6, tzinfo=UTC)
    found = bank.execute("select transaction_id, reported_at, arrived_at, day from bank.fraud_reports").fetchall()
    assert found == [(1, due, due, DAY)]


def test_a_day_begins_and_ends_at_midnight(bank: psycopg.Connection, tiny: TinyScorer, folder: Path) -> None:
    midnight = pd.Timestamp("2018-04-09")
    seconds = pd.to_timedelta([-1, 0, 3, 5, 60, 100, 1000, 80_000, 86_399, 86_400], unit="s")
    live_day(TX_DATETIME=midnight + seconds).to_parquet(folder / "b.parquet")
    play(bank, tiny, folder)
    assert tiny.scored == list(range(101, 109))


def test_a_replay_and_a_load_of_the_same_data_add_nothing_twice(
    bank: psycopg.Connection, tiny: TinyScorer, folder: Path
) -> None:
    feed = PublishedFeed(folder, NOW)
    assert load(bank, feed, 1).held_out == [str(DAY)]
    play(bank, tiny, folder)
    assert (count(bank), count(bank, table="fraud_reports")) == (26, 1)
    again = load(bank, PublishedFeed(folder, NOW), 0)
    assert (again.rows, again.rows_new, again.reports_new) == (26, 0, 0)


def test_an_interrupted_replay_can_be_repeated(
    bank: psycopg.Connection, tiny: TinyScorer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is interrupted in the second batch of bank records."""
    monkeypatch.setattr("bank.replay.RECORD_EVERY", 4)
    tiny.answer = lambda number: 500 if number == 106 else 200
    with pytest.raises(BankError, match="500"):
        play(bank, tiny, folder)
    assert tiny.scored == [100, 101, 102, 103, 104, 105]
    assert count(bank) == 6, "what was sent is recorded"
    tiny.answer = lambda _: 200
    assert play(bank, tiny, folder).scored == count(bank) == 10


def test_a_killed_replay_can_be_repeated(
    bank: psycopg.Connection, tiny: TinyScorer, run: Run, settings: Settings
) -> None:
    killed: list[int] = []

    def kill(number: int) -> int:
        if number == 106 and not killed:
            killed.append(1)
            os.kill(children.pop(), signal.SIGKILL)
        return 200

    children: list[int] = []
    tiny.answer = kill
    process = subprocess.Popen(run.command, env=run.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    children.append(process.pid)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert count(bank) == 0, "nothing was recorded yet"
    bank.rollback()
    done = run()
    assert json.loads(done.stdout)["scored"] == count(bank) == 10
    assert set(tiny.scored) == set(range(100, 110))


def test_requests_to_a_busy_scorer_are_retried(bank: psycopg.Connection, tiny: TinyScorer, folder: Path) -> None:
    troubles = [503, 429]
    tiny.answer = lambda number: troubles.pop() if number == 104 and troubles else 200
    assert play(bank, tiny, folder).scored == 10
    assert not troubles
    assert tiny.scored == list(range(100, 110))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "rejects the key in the secret scorer_api_key"),
        (403, "rejects the key in the secret scorer_api_key"),
        (422, r"rejects .*'transaction_id': 103.* \(422 .*: check that it runs this version"),
        (503, r"keeps returning 503 .*: see its /readyz for the cause"),
    ],
)
def test_a_rejection_ends_the_replay(
    bank: psycopg.Connection, tiny: TinyScorer, folder: Path, status: int, words: str
) -> None:
    tiny.answer = lambda number: status if number == 103 else 200
    with pytest.raises(BankError, match=words):
        play(bank, tiny, folder)
    assert tiny.scored == [100, 101, 102]
    assert count(bank) == 3


def test_invalid_payments_are_recorded_but_not_sent(bank: psycopg.Connection, tiny: TinyScorer, folder: Path) -> None:
    live = live_day().astype({"CUSTOMER_ID": "Int64", "TRANSACTION_ID": "Int64"})
    live.loc[1, "TRANSACTION_ID"] = pd.NA
    live.loc[2, "CUSTOMER_ID"] = pd.NA
    live.loc[3, "TX_AMOUNT"] = -5
    live.loc[4, "TX_AMOUNT"] = np.nan
    live.loc[5, "TX_AMOUNT"] = 1.005
    live.loc[6, "TX_DATETIME"] = pd.NaT
    live.loc[7, "TX_DATETIME"] = pd.Timestamp("2031-01-01")
    live.loc[8, "TX_AMOUNT"] = 1e7
    live.loc[[3, 9], "TX_FRAUD"] = 1
    live.to_parquet(folder / "b.parquet")
    played = play(bank, tiny, folder)
    assert tiny.scored == [100, 109]
    assert (played.scored, played.unposted, played.frauds) == (2, 8, 2)
    assert count(bank) == 10
    assert count(bank, "count(distinct day)") == 1


def test_a_report_of_a_payment_without_an_id_is_recorded_and_not_sent(
    bank: psycopg.Connection, tiny: TinyScorer, folder: Path
) -> None:
    history = frame(1, 4, start="2018-04-02").astype({"TRANSACTION_ID": "Int64"})
    history.loc[1, "TRANSACTION_ID"] = pd.NA
    history.to_parquet(folder / "a.parquet")
    played = play(bank, tiny, folder)
    assert (played.reports, tiny.reported, played.scored) == (0, [], 10)
    assert count(bank, table="fraud_reports") == 1


def test_a_conflicting_id_is_counted_and_recorded(bank: psycopg.Connection, tiny: TinyScorer, folder: Path) -> None:
    live = live_day()
    live.loc[6, "TRANSACTION_ID"] = 102
    live.to_parquet(folder / "b.parquet")
    tiny.answer = lambda number: 409 if number in tiny.scored else 200
    played = play(bank, tiny, folder)
    assert (played.scored, played.refused, count(bank)) == (9, 1, 10)


def test_a_day_without_payments_or_in_the_future_is_rejected(folder: Path) -> None:
    feed = PublishedFeed(folder, NOW)
    with pytest.raises(BankError, match="no payments on 2018-04-08: choose a day from 2018-04-02 to 2018-04-09"):
        day_to_play(feed, date(2018, 4, 8), NOW)
    with pytest.raises(BankError, match="2018-04-09 is not over"):
        day_to_play(feed, DAY, datetime(2018, 4, 9, 9, tzinfo=UTC))


def test_the_command_ends_with_one_line_of_json(bank: psycopg.Connection, tiny: TinyScorer, run: Run) -> None:
    done = run("--limit", "5")
    assert done.returncode == 0, done.stderr
    assert "live: 5 events" in done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["scored"] == 4, "and the report"
    assert said["decisions"] == {"approve": 4, "review": 0, "decline": 0}
    assert 0 < said["latency_ms"]["p50"] <= said["latency_ms"]["p99"]
    keys = {"unposted", "refused", "frauds", "frauds_caught", "reports", "seconds"}
    assert keys < set(said)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"SCORER_URL": "not an address"}, "check SCORER_URL"),
        ({"BANK_URL": "postgresql://127.0.0.1:1/bank"}, "the bank's database is not responding"),
        ({"SECRETS_DIR": "/nowhere"}, "the secret bank_feed_password is missing"),
    ],
)
def test_wrong_settings_are_reported_in_one_line(
    tiny: TinyScorer, run: Run, changed: dict[str, str], words: str
) -> None:
    done = run(**changed)
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_wrong_key_is_reported_in_one_line(
    tmp_path: Path, bank: psycopg.Connection, tiny: TinyScorer, run: Run, secrets_dir: Path
) -> None:
    wrong = tmp_path / "secrets"
    wrong.mkdir()
    for file in secrets_dir.iterdir():
        (wrong / file.name).write_bytes(file.read_bytes())
    (wrong / "scorer_api_key").write_text("a wrong key")
    done = run(SECRETS_DIR=str(wrong))
    assert done.returncode == 1
    assert "rejects the key in the secret scorer_api_key" in done.stderr
    assert "a wrong key" not in done.stderr + done.stdout


def test_a_scorer_with_the_state_of_other_data_is_reported(
    bank: psycopg.Connection, tiny: TinyScorer, run: Run
) -> None:
    tiny.answer = lambda _: 409
    done = run()
    assert done.returncode == 1
    assert "replay the data set that its online state was built from" in done.stderr.splitlines()[-1]
