"""The live replay as a service: it resumes from the bank's records after interruptions and outages."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Event
from typing import Any

import psycopg
import pytest
from tenacity import stop_after_attempt

from bank.errors import BankError
from bank.feed import SimulatedFeed
from bank.live import Live, Pace
from bank.load import load
from bank.pending_events import next_day, unrecorded
from bank.published_feed import PublishedFeed
from bank.replay import ReplayResult
from bank.scorer_client import ScorerClient
from bank.settings import Settings
from bank.simulator import Simulation
from tests.bank.conftest import TinyScorer
from tests.bank.frames import count, frame

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIRST, SECOND = date(2018, 4, 3), date(2018, 4, 4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four days of four payments; the last two are live. Payment 1 is a fraud of the first day."""
    frame(4, 4).to_parquet(tmp_path / "a.parquet")
    return tmp_path


@pytest.fixture
def feed(folder: Path) -> PublishedFeed:
    return PublishedFeed(folder, NOW)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def live(settings: Settings, tiny: TinyScorer, said: list[str]) -> Iterator[Live]:
    with ScorerClient(tiny.url, tiny.key, stop_after_attempt(3)) as scorer:
        yield Live(settings, scorer, Pace(1e6), said.append, lambda: None, Event())


def play_all(live: Live, bank: psycopg.Connection, feed: PublishedFeed) -> list[tuple[date, ReplayResult]]:
    days = []
    while found := live.at_the_bank(lambda bank: next_day(bank, feed, [FIRST, SECOND], NOW)):
        days.append((found[0], live.play_day(*found)))
    return days


def test_the_held_out_days_are_played_in_order_and_recorded(
    bank: psycopg.Connection, live: Live, tiny: TinyScorer, feed: PublishedFeed
) -> None:
    load(bank, feed, 2)
    played = play_all(live, bank, feed)
    assert [(day, one.scored) for day, one in played] == [(FIRST, 4), (SECOND, 4)]
    assert tiny.scored == list(range(8, 16))
    assert count(bank) == 16


def test_it_resumes_from_the_records(
    bank: psycopg.Connection, live: Live, tiny: TinyScorer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted when five of a day's eight payments are answered and three recorded: two are sent again."""
    frame(4, 8).to_parquet(folder / "a.parquet")
    feed = PublishedFeed(folder, NOW)
    load(bank, feed, 2)
    with monkeypatch.context() as killed:
        killed.setattr("bank.live.RECORD_EVERY", 3)
        killed.setattr(Live, "_record", _only_when_full(Live._record))
        tiny.answer = lambda number: 500 if number == 21 else 200
        with pytest.raises(BankError, match="500"):
            play_all(live, bank, feed)
    assert (tiny.scored, count(bank)) == ([16, 17, 18, 19, 20], 19)
    tiny.answer = lambda _: 200
    play_all(live, bank, feed)
    assert tiny.scored == [16, 17, 18, 19, 20, *range(19, 32)]
    assert count(bank) == 32
    assert play_all(live, bank, feed) == []


def _only_when_full(record: Any) -> Any:
    """Simulate a kill: events waiting for the next batch of three are lost."""
    return lambda live, waiting: record(live, waiting) if len(waiting) == 3 else None


def test_rows_of_other_sources_do_not_hide_a_day(
    bank: psycopg.Connection, live: Live, tiny: TinyScorer, feed: PublishedFeed
) -> None:
    load(bank, feed, 2)
    bank.execute("insert into bank.transactions (source, source_row, arrived_at) values ('by hand', 15, '2018-04-04')")
    bank.commit()
    play_all(live, bank, feed)
    assert tiny.scored == list(range(8, 16))


def test_reports_that_fall_due_are_replayed_too(bank: psycopg.Connection, live: Live, tiny: TinyScorer) -> None:
    feed = SimulatedFeed(Simulation(customers=60, terminals=120, days=20, seed=1))
    days = feed.days()
    load(bank, feed, 2)
    before = count(bank, table="fraud_reports")
    found = live.at_the_bank(lambda bank: next_day(bank, feed, days[-2:], NOW))
    assert found is not None
    assert found[0] == days[-2]
    played = live.play_day(*found)
    assert played.reports == len(tiny.reported) > 0
    assert count(bank, table="fraud_reports") == before + played.reports
    assert unrecorded(bank, found[1]) == []


def test_it_retries_while_the_bank_is_unavailable(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = []

    def away_twice(bank: psycopg.Connection) -> str:
        attempts.append(1)
        if len(attempts) < 3:
            raise psycopg.OperationalError("the connection is lost")
        return "done"

    assert live.at_the_bank(away_twice) == "done"
    assert len(attempts) == 3


def test_a_day_is_replayed_once_it_is_over(bank: psycopg.Connection, feed: PublishedFeed) -> None:
    assert next_day(bank, feed, [SECOND], datetime(2018, 4, 4, 23, tzinfo=UTC)) is None
    assert next_day(bank, feed, [SECOND], datetime(2018, 4, 5, 0, tzinfo=UTC)) is not None


def test_while_idle_the_heartbeat_needs_a_ready_scorer(live: Live, tiny: TinyScorer) -> None:
    beats = []
    live.beat = lambda: beats.append(1)
    live.idle(1.5)
    assert beats
    beats.clear()
    tiny.ready = False
    live.idle(1.5)
    assert not beats


def test_flagged_payments_are_printed_with_their_reason(
    bank: psycopg.Connection, live: Live, said: list[str], folder: Path
) -> None:
    frame(4, 4).assign(TX_AMOUNT=250.0).to_parquet(folder / "a.parquet")
    play_all(live, bank, PublishedFeed(folder, NOW))
    assert said[0].startswith("2018-04-03 00:00:00  payment 8  250.00  decline")
    assert len(said) == 8


def test_the_rate_is_limited_and_a_pause_is_not_caught_up() -> None:
    now, slept = 0.0, []

    def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(round(seconds, 3))
        now += seconds

    pace = Pace(10, lambda: now, sleep)
    for _ in range(3):
        pace.wait()
    assert slept == [0.1, 0.1]
    now += 60
    pace.wait()
    pace.wait()
    assert slept == [0.1, 0.1, 0.1]


def test_it_idles_when_all_is_replayed_and_stops_cleanly(
    bank: psycopg.Connection, settings: Settings, secrets_dir: Path, tiny: TinyScorer, folder: Path, tmp_path: Path
) -> None:
    load(bank, PublishedFeed(folder, NOW), 2)
    beat = tmp_path / "answered"
    addresses = {"BANK_URL": settings.bank_url, "SCORER_URL": tiny.url, "SECRETS_DIR": str(secrets_dir)}
    options = ["--data", str(folder), "--hold-out-days", "2", "--rate", "1000", "--heartbeat", str(beat)]
    service = subprocess.Popen(
        [sys.executable, "-m", "bank.live", *options], env=os.environ | addresses, stdout=subprocess.PIPE, text=True
    )
    end = time.monotonic() + 60
    while count(bank) < 16 and time.monotonic() < end:
        bank.rollback()
        time.sleep(0.1)
    beat.unlink(missing_ok=True)
    while not beat.exists() and time.monotonic() < end:
        time.sleep(0.1)
    assert beat.exists(), "it idles, and is alive"
    service.send_signal(signal.SIGTERM)
    out, _ = service.communicate(timeout=30)
    assert service.returncode == 0
    assert "all past days of the feed are replayed" in out
    assert out.splitlines()[-1] == "live: stopped; all answered events are recorded"


def test_it_stops_between_two_payments(
    bank: psycopg.Connection, live: Live, tiny: TinyScorer, feed: PublishedFeed
) -> None:
    """So the bank records every payment that the scorer decided."""
    load(bank, feed, 2)
    live.beat = lambda: live.stopping.set() if len(tiny.scored) == 2 else None
    found = next_day(bank, feed, [FIRST, SECOND], NOW)
    bank.rollback()
    assert found is not None
    assert live.play_day(*found).scored == 2
    assert (tiny.scored, count(bank)) == ([8, 9], 10)


def test_it_stops_while_the_scorer_is_unavailable(
    bank: psycopg.Connection, settings: Settings, secrets_dir: Path, folder: Path, tmp_path: Path
) -> None:
    load(bank, PublishedFeed(folder, NOW), 2)
    addresses = {"BANK_URL": settings.bank_url, "SCORER_URL": "http://127.0.0.1:1", "SECRETS_DIR": str(secrets_dir)}
    command = [sys.executable, "-m", "bank.live", "--data", str(folder), "--hold-out-days", "2"]
    service = subprocess.Popen(command, env=os.environ | addresses, stdout=subprocess.PIPE, text=True)
    assert service.stdout is not None
    assert service.stdout.readline().startswith("live: 2018-04-03")
    time.sleep(1)
    service.send_signal(signal.SIGTERM)
    out, _ = service.communicate(timeout=8)
    assert service.returncode == 0
    assert "live: waiting for the scorer" in out
    assert out.splitlines()[-1].startswith("live: stopped while waiting")


@pytest.mark.parametrize("option", [["--hold-out-days", "0"], ["--hold-out-days", "2", "--rate", "0"], []])
def test_invalid_options_are_rejected(option: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "bank.live", *option], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "hold-out-days" in done.stderr or "rate" in done.stderr
