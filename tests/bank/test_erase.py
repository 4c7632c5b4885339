"""A forgotten customer is in no table of the bank, and no load or replay of the same source brings it back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tenacity import stop_after_attempt

from bank.erase import erase
from bank.erased_rows import without_erased
from bank.events import events_of
from bank.feed import SimulatedFeed
from bank.find_id import number_of
from bank.known_contents import admit
from bank.load import load, report_refused
from bank.pending_events import next_day
from bank.published_feed import PublishedFeed
from bank.replay import day_to_play, record, record_refunds, replay
from bank.scorer_client import ScorerClient
from bank.settings import Settings
from bank.simulator import Simulation
from tests.bank.conftest import TinyScorer
from tests.bank.frames import count, frame
from tests.bank.mapped import KEY, csv_feed

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WORLD = SimulatedFeed(Simulation(customers=60, terminals=120, days=20, seed=1))
GONE = 1


def erased(settings: Settings, customer: int = GONE) -> dict[str, int]:
    """What was removed of the customer to forget; what had nothing is left out."""
    return {name: rows for name, rows in erase(settings, customer).items() if rows}


def rows_of(bank: psycopg.Connection, customer: int) -> int:
    found: int = count(bank, f"count(*) filter (where customer_id = {customer})")
    return found


def test_a_load_of_the_same_source_brings_nothing_back(bank: psycopg.Connection, settings: Settings) -> None:
    load(bank, WORLD, 0)
    most = "select customer_id, count(*) from bank.transactions join bank.fraud_reports using (transaction_id)"
    found = bank.execute(f"{most} group by 1 order by 2 desc limit 1".encode()).fetchone()
    assert found
    customer, reported = found
    mine, payments, reports = rows_of(bank, customer), count(bank), count(bank, table="fraud_reports")
    bank.commit()
    assert erased(settings, customer) == {"payments": mine, "reports": reported}
    assert rows_of(bank, customer) == 0
    again = load(bank, WORLD, 0)
    assert (again.rows_new, again.reports_new) == (0, 0)
    assert (count(bank), count(bank, table="fraud_reports")) == (payments - mine, reports - reported)
    bank.commit()
    assert erased(settings, customer) == {}


def test_a_source_of_one_customer_alone_is_not_new_afterwards(
    bank: psycopg.Connection, settings: Settings, tmp_path: Path
) -> None:
    """Its rows are copied directly while it is new, which leaves none out."""
    frame(3, 4).assign(CUSTOMER_ID=GONE).to_parquet(tmp_path / "a.parquet")
    feed = PublishedFeed(tmp_path, NOW)
    load(bank, feed, 0)
    bank.commit()
    assert erased(settings) == {"payments": 12, "reports": 1}
    load(bank, feed, 0)
    assert (count(bank), count(bank, table="fraud_reports")) == (0, 0)


def test_a_replay_sends_nothing_of_a_forgotten_customer(
    bank: psycopg.Connection, settings: Settings, tiny: TinyScorer, tmp_path: Path
) -> None:
    frame(4, 5).assign(TX_FRAUD=0).to_parquet(tmp_path / "a.parquet")
    feed, day = PublishedFeed(tmp_path, NOW), date(2018, 4, 4)
    load(bank, feed, 1)
    events = day_to_play(feed, day, NOW)
    with ScorerClient(tiny.url, tiny.key, stop_after_attempt(3)) as scorer:
        replay(bank, scorer, events)
        bank.commit()
        sent = list(tiny.scored)
        assert erased(settings)["payments"] == 4
        tiny.posted.clear()
        replay(bank, scorer, without_erased(bank, events))
    assert tiny.scored == [number for number in sent if number % 5 != GONE]
    assert rows_of(bank, GONE) == 0
    assert next_day(bank, feed, [day], NOW) is None, "the live replay has nothing left to send"


def test_a_report_that_comes_after_its_customer_was_forgotten_is_left_out(
    bank: psycopg.Connection, settings: Settings, tmp_path: Path
) -> None:
    """Its payment was loaded, and its report is due on a day that was held out."""
    table = frame(20, 5).assign(TX_FRAUD=1)
    table.to_parquet(tmp_path / "a.parquet")
    feed = PublishedFeed(tmp_path, NOW)
    load(bank, feed, 10)
    bank.commit()
    assert erased(settings)["payments"]
    due = [event for day in feed.days()[10:] for event in day_to_play(feed, day, NOW) if not event.is_payment]
    gone = set(table.loc[table["CUSTOMER_ID"] == GONE, "TRANSACTION_ID"])
    early = gone - set(table.loc[table["TX_DATETIME"] >= str(feed.days()[10]), "TRANSACTION_ID"])
    assert early & {event.row["transaction_id"] for event in due}
    assert not early & {event.row["transaction_id"] for event in without_erased(bank, due)}
    load(bank, feed, 0)
    reported = {row[0] for row in bank.execute("select transaction_id from bank.fraud_reports").fetchall()}
    assert reported
    assert not early & reported


def test_the_command_replays_nothing_of_a_forgotten_customer(
    bank: psycopg.Connection, settings: Settings, tiny: TinyScorer, tmp_path: Path, secrets_dir: Path
) -> None:
    frame(4, 5).assign(TX_FRAUD=0).to_parquet(tmp_path / "a.parquet")
    load(bank, PublishedFeed(tmp_path, NOW), 0)
    bank.commit()
    erase(settings, GONE)
    addresses = {"BANK_URL": settings.bank_url, "SCORER_URL": tiny.url, "SECRETS_DIR": str(secrets_dir)}
    command = [sys.executable, "-m", "bank.replay", "--data", str(tmp_path), "--day", "2018-04-04"]
    done = subprocess.run(command, env=os.environ | addresses, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(tiny.scored) == 4
    assert all(body["customer_id"] != GONE for _, body in tiny.posted)


def test_of_a_repeated_id_the_report_stays(bank: psycopg.Connection, settings: Settings) -> None:
    bank.execute("""
        insert into bank.transactions (source, source_row, transaction_id, customer_id, arrived_at) values
        ('a', 1, 7, 2, '2018-04-01'), ('a', 2, 7, 1, '2018-04-02'), ('a', 3, 8, 1, '2018-04-02'),
        ('a', 4, null, 1, '2018-04-02'), ('a', 5, 9, null, '2018-04-02')
    """)
    bank.execute("""
        insert into bank.fraud_reports (source, source_row, transaction_id, arrived_at) values
        ('a', 1, 7, '2018-04-09'), ('a', 3, 8, '2018-04-09')
    """)
    bank.commit()
    assert erased(settings) == {"payments": 3, "reports": 1}
    assert bank.execute("select transaction_id from bank.fraud_reports").fetchall() == [(7,)]
    assert bank.execute("select source_row from bank.transactions order by 1").fetchall() == [(1,), (5,)]


CARD = "4613314721966"
OWN = [f"a1,{CARD},s,1,2024-01-01,1", f"r1,{CARD},s,-1,2024-01-01,0", f"a2,{CARD},s,2,2024-01-03,"]
OTHERS = ["b1,4613314721967,s,3,2024-01-01,0", "b2,4613314721967,s,-4,2024-01-02,0"]


def test_no_later_file_brings_back_a_customer_whose_id_is_a_hash(
    bank: psycopg.Connection, settings: Settings, tiny: TinyScorer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    feed = csv_feed(tmp_path, *OWN, *OTHERS)
    customer = number_of([CARD], "customer_id", KEY)
    load(bank, feed, 0)
    bank.commit()
    assert erased(settings, customer)["hashed_ids"] == 1
    others = count(bank, table="hashed_ids")
    (tmp_path / "later").mkdir()
    other = csv_feed(
        tmp_path / "later", f"c1,{CARD},s,9,2024-02-01,0", f"c2,{CARD},s,-9,2024-02-01,0", "c3,5,s,9,2024-02-02,0"
    )
    for again in (feed, other):
        report_refused(again, load(bank, again, 0))
        assert (
            rows_of(bank, customer) == count(bank, f"count(*) filter (where customer_id = {customer})", "refunds") == 0
        )
        assert count(bank, "count(*)", "hashed_ids") >= others
        bank.commit()
        assert erased(settings, customer) == {}
    said = capsys.readouterr().err
    assert "left out: 3 rows of customers that were erased" in said
    assert "left out: 2 rows of customers that were erased" in said
    events = day_to_play(other, date(2024, 2, 1), NOW)
    assert not events
    assert CARD not in str(bank.execute("select * from bank.erased_customers").fetchall())


def test_a_customer_that_only_a_replay_brought_does_not_come_back(
    bank: psycopg.Connection, settings: Settings, tmp_path: Path
) -> None:
    load(bank, csv_feed(tmp_path, *OTHERS), 0)
    grown, day = csv_feed(tmp_path, *OTHERS, f"d1,{CARD},s,9,2024-02-01,0"), date(2024, 2, 1)
    admit(bank, grown)
    record(bank, day_to_play(grown, day, NOW))
    customer = number_of([CARD], "customer_id", KEY)
    assert rows_of(bank, customer) == 1
    bank.commit()
    assert erased(settings, customer) == {"payments": 1}
    (tmp_path / "later").mkdir()
    load(bank, csv_feed(tmp_path / "later", f"d2,{CARD},s,9,2024-02-02,0", "d3,5,s,9,2024-02-02,0"), 0)
    assert rows_of(bank, customer) == 0


def test_what_a_replay_has_read_of_a_customer_is_not_recorded_after_the_erasure(
    bank: psycopg.Connection, settings: Settings, tmp_path: Path
) -> None:
    """A day of a live replay takes hours; what was read at its begin is recorded little by little."""
    late = [f"a3,{CARD},s,2,2024-01-05,1", f"a4,{CARD},s,2,2024-01-05,", f"r2,{CARD},s,-2,2024-01-05,0"]
    feed, day = csv_feed(tmp_path, *OWN, *OTHERS, *late, "b3,5,s,3,2024-01-05,0"), date(2024, 1, 5)
    load(bank, feed, 1)
    events = day_to_play(feed, day, NOW)
    bank.commit()
    customer = number_of([CARD], "customer_id", KEY)
    assert erased(settings, customer)["payments"] == 2
    record(bank, events)
    record_refunds(bank, feed, day)
    of_customer = f"count(*) filter (where customer_id = {customer})"
    assert [count(bank, of_customer, table) for table in ("transactions", "refunds")] == [0, 0]
    assert [count(bank), count(bank, table="unknown_labels")] == [2, 0]
    reports = [event for event in events_of(feed, date(2024, 1, 12)) if not event.is_payment]
    assert len(reports) == 1
    record(bank, reports)
    assert count(bank, table="fraud_reports") == 0
    assert next_day(bank, feed, [day], NOW) is None


def test_a_landing_table_of_another_kind_is_erased_too(
    bank: psycopg.Connection, settings: Settings, admin: psycopg.Connection
) -> None:
    """Whatever a later version lands: by the customer where it names one, else by the payment."""
    key = "source text, source_row bigint, transaction_id bigint, primary key (source, source_row)"
    admin.execute(f"create table bank.notes ({key}); create table bank.visits (customer_id bigint, {key})".encode())
    try:
        admin.execute("""
            insert into bank.transactions (source, source_row, transaction_id, customer_id, arrived_at) values
            ('a', 1, 7, 1, '2018-04-01'), ('a', 2, 8, 2, '2018-04-02');
            insert into bank.hashed_ids values (1, 1, 11), (1, 2, 12), (2, 1, 13);
            insert into bank.notes values ('a', 1, 7), ('a', 2, 8);
            insert into bank.visits values (1, 'a', 1, null), (2, 'a', 2, null)
        """)
        assert erased(settings) == {"payments": 1, "notes": 1, "visits": 1, "hashed_ids": 1}
        assert admin.execute("select source_row from bank.notes").fetchall() == [(2,)]
        assert admin.execute("select source_row from bank.visits").fetchall() == [(2,)]
        found = admin.execute("select landing_table from bank.erased_rows order by 1").fetchall()
        assert found == [("notes",), ("transactions",), ("visits",)]
        assert admin.execute("select kind, id from bank.hashed_ids order by 1").fetchall() == [(1, 2), (2, 1)]
    finally:
        admin.execute("drop table bank.notes, bank.visits")


@pytest.fixture
def decisions(settings: Settings) -> Any:
    password = settings.secret("decisions_password")
    with psycopg.connect(settings.decisions_url, user="scorer", password=password, autocommit=True) as connection:
        connection.execute("truncate serving.decisions, serving.unapplied, serving.fraud_reports")
        yield connection


def test_reports_that_the_scorer_took_of_unscored_payments_go_as_well(
    bank: psycopg.Connection, settings: Settings, decisions: psycopg.Connection
) -> None:
    """Payment 9 was scored for another customer: its id is repeated in the bank."""
    bank.execute("""
        insert into bank.transactions (source, source_row, transaction_id, customer_id, arrived_at) values
        ('a', 1, 7, 1, '2018-04-01'), ('a', 2, 8, 2, '2018-04-02'), ('a', 3, 9, 1, '2018-04-02')
    """)
    bank.commit()
    for number in (7, 8, 9):
        decisions.execute("insert into serving.fraud_reports values (%s, now(), 1, 1, now(), 1)", [number])
    decisions.execute(
        "insert into serving.decisions values (9, 5, 1, 9.5, now(), .5, 'review', '[]', '1', true, '{}', '3', 0, now())"
    )
    assert erased(settings) == {"payments": 2, "scored_reports": 1}
    assert decisions.execute("select transaction_id from serving.fraud_reports order by 1").fetchall() == [(8,), (9,)]


def test_the_command_ends_with_one_line_of_json(
    bank: psycopg.Connection, settings: Settings, secrets_dir: Path
) -> None:
    load(bank, WORLD, 0)
    bank.commit()
    addresses = {
        "BANK_URL": settings.bank_url, "DECISIONS_URL": settings.decisions_url, "SECRETS_DIR": str(secrets_dir),
    }  # fmt: skip
    command = [sys.executable, "-m", "bank.erase", "--customer", str(GONE)]
    done = subprocess.run(command, env=os.environ | addresses, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["payments"] > 0
    done = subprocess.run(
        [*command[:-1], str(2**63)], env=os.environ | addresses, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "is not a valid id" in done.stderr) == (1, True)
