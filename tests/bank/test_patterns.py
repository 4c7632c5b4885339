"""A fraud's pattern goes from the source into the bank's reports, and no further."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pytest
from tenacity import stop_after_attempt

from bank.feed import BATCH_SCHEMA, SimulatedFeed, reports_of
from bank.landing import open_bank
from bank.load import load
from bank.migrate import in_database, migrate
from bank.published_feed import PublishedFeed
from bank.replay import day_to_play, replay
from bank.scorer_client import ScorerClient
from bank.settings import Settings
from bank.simulator import Simulation, simulate
from contracts.transaction import FRAUD_PATTERNS
from tests.bank.conftest import TinyScorer
from tests.bank.frames import frame
from tests.bank.test_published_feed import NOW, rows_of

WORLD = Simulation(customers=60, terminals=120, days=20, seed=1)


@pytest.mark.parametrize("name", ["payments.parquet", "2018-04-01.pkl"])
@pytest.mark.parametrize(
    ("scenarios", "patterns"),
    [
        ([1, 2, 3, 0, 4, -1], [1, 2, 3, None, None, None]),
        ([1.0, np.nan, 2.0, 3.0, 0.0, 9.0], [1, None, 2, 3, None, None]),
        (["terminal", "", "ATO", "x", "y", "z"], [None] * 6),
        ([1.5, 2.0, 3.0, 1.0, 2.0, 3.0], [None] * 6),
        (["1", "2", "3", "0", "4", None], [1, 2, 3, None, None, None]),
        (None, [None] * 6),
    ],
)
def test_a_report_has_the_pattern_if_the_file_does(
    tmp_path: Path, name: str, scenarios: list[Any] | None, patterns: list[int | None]
) -> None:
    payments = frame(1, 6).assign(TX_FRAUD=1).drop(columns="TX_FRAUD_SCENARIO")
    if scenarios is not None:
        payments["TX_FRAUD_SCENARIO"] = scenarios
    path = tmp_path / name
    payments.to_pickle(path) if name.endswith(".pkl") else payments.to_parquet(path)
    rows = rows_of(tmp_path)
    assert rows.schema == BATCH_SCHEMA
    assert reports_of(rows)["pattern"].to_pylist() == patterns


def test_reports_are_stored_with_their_pattern(bank: psycopg.Connection) -> None:
    load(bank, SimulatedFeed(WORLD), 0)
    pattern = np.concatenate([some.pattern for some in simulate(WORLD)])
    expected = {int(n): int(pattern[n]) for n in np.flatnonzero(pattern)}
    assert set(expected.values()) == set(FRAUD_PATTERNS)
    assert dict(bank.execute("select transaction_id, pattern from bank.fraud_reports").fetchall()) == expected


def test_data_without_patterns_is_stored_as_before(bank: psycopg.Connection, tmp_path: Path) -> None:
    frame().drop(columns="TX_FRAUD_SCENARIO").to_parquet(tmp_path / "payments.parquet")
    assert load(bank, PublishedFeed(tmp_path, NOW), 0).reports_new == 1
    assert bank.execute("select transaction_id, pattern from bank.fraud_reports").fetchall() == [(1, None)]


def test_the_pattern_is_recorded_and_not_sent(bank: psycopg.Connection, tiny: TinyScorer, tmp_path: Path) -> None:
    """The four frauds of the first day are reported on the eighth."""
    frauds = frame(1, 4).assign(TX_FRAUD=1, TX_FRAUD_SCENARIO=[3, 0, 1, 2])
    pd.concat([frauds, frame(1, 4, "2018-04-08", first_id=4)]).to_parquet(tmp_path / "payments.parquet")
    with ScorerClient(tiny.url, tiny.key, stop_after_attempt(3)) as scorer:
        replay(bank, scorer, day_to_play(PublishedFeed(tmp_path, NOW), date(2018, 4, 8), NOW))
    sent = [report for _, body in tiny.posted for report in body.get("reports", [])]
    assert [set(report) for report in sent] == [{"transaction_id", "reported_at"}] * 4
    recorded = bank.execute("select pattern from bank.fraud_reports order by transaction_id").fetchall()
    assert recorded == [(3,), (None,), (1,), (2,)]


LEGACY_REPORTS = """
drop table bank.alembic_version;
drop table bank.fraud_reports;
create table bank.fraud_reports (
    source text not null,
    source_row bigint not null,
    transaction_id bigint,
    reported_at timestamptz,
    arrived_at timestamptz not null,
    day date not null generated always as ((reported_at at time zone 'UTC')::date) stored,
    primary key (source, source_row)
);
insert into bank.fraud_reports values ('t', 1, 7, now(), now())
"""


def columns_of(connection: psycopg.Connection) -> list[tuple[object, ...]]:
    query = "select column_name, data_type from information_schema.columns where table_name = 'fraud_reports'"
    return connection.execute(f"{query} order by ordinal_position").fetchall()


def test_reports_without_a_pattern_are_kept_and_new_ones_may_have_one(
    settings: Settings, admin: psycopg.Connection, tmp_path: Path
) -> None:
    legacy = settings.model_copy(update={"bank_url": in_database(settings.bank_url, "bank_legacy")})
    migrate(legacy)
    password = settings.secret("bank_admin_password")
    with psycopg.connect(legacy.bank_url, user="postgres", password=password) as connection:
        connection.execute(LEGACY_REPORTS)
    migrate(legacy)
    frame().assign(TX_FRAUD_SCENARIO=2).to_parquet(tmp_path / "payments.parquet")
    with open_bank(legacy) as connection:
        assert columns_of(connection) == columns_of(admin), "as in a new bank"
        loaded = [load(connection, PublishedFeed(tmp_path, NOW), 0).reports_new for _ in range(2)]
        found = connection.execute("select transaction_id, pattern from bank.fraud_reports order by 1").fetchall()
    assert (loaded, found) == ([1, 0], [(1, 2), (7, None)])


def test_a_bank_older_than_the_code_is_reported(
    bank: psycopg.Connection, admin: psycopg.Connection, settings: Settings, secrets_dir: Path
) -> None:
    environment = os.environ | {"BANK_URL": settings.bank_url, "SECRETS_DIR": str(secrets_dir)}
    command = [sys.executable, "-m", "bank.load", "--customers", "5", "--days", "3"]
    admin.execute("alter table bank.fraud_reports drop column pattern")
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    finally:
        admin.execute("alter table bank.fraud_reports add column pattern bigint")
    assert done.returncode == 1
    assert 'older than this code (column "pattern"' in done.stderr
    assert done.stderr.endswith("run `python -m bank.migrate`\n")
