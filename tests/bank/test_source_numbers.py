"""Sources are numbered in the order in which the bank first sees them, and rows of one id are played in that order."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tenacity import stop_after_attempt

from bank.events import Event, in_landing_order
from bank.feed import SimulatedFeed
from bank.load import load
from bank.pending_events import next_day
from bank.published_feed import PublishedFeed
from bank.replay import day_to_play, replay
from bank.scorer_client import ScorerClient
from bank.simulator import Simulation
from bank.source_numbers import number_sources
from contracts.repeated_ids import ORDER
from tests.bank.conftest import TinyScorer
from tests.bank.frames import frame

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LIVE = date(2018, 4, 4)


def numbers(bank: psycopg.Connection) -> dict[str, int]:
    """The numbers of the bank's sources."""
    return dict(bank.execute("select source, number from bank.sources").fetchall())


def test_a_source_keeps_its_number_and_new_ones_come_after(bank: psycopg.Connection) -> None:
    assert number_sources(bank, ["b", "a", "b"]) == {"b": 1, "a": 2}
    assert number_sources(bank, ["c", "a"]) == {"a": 2, "c": 3}
    assert number_sources(bank, []) == {}
    assert numbers(bank) == {"b": 1, "a": 2, "c": 3}


def test_known_sources_do_not_wait_for_a_writer(bank: psycopg.Connection, admin: psycopg.Connection) -> None:
    number_sources(bank, ["a"])
    bank.commit()
    with admin.transaction():
        admin.execute("select pg_advisory_xact_lock(%s)", [0x6C616E64])
        bank.execute("set lock_timeout = '1s'")
        assert number_sources(bank, ["a"]) == {"a": 1}


def test_a_load_numbers_all_files_in_order_also_those_that_are_held_out(
    bank: psycopg.Connection, tmp_path: Path
) -> None:
    frame(3, 4).to_parquet(tmp_path / "b.parquet")
    frame(1, 4, start="2018-04-04", first_id=50).to_parquet(tmp_path / "a.parquet")
    feed = PublishedFeed(tmp_path, NOW)
    load(bank, feed, 1)
    first, second = (batch.source for batch in feed.batches())
    assert numbers(bank) == {first: 1, second: 2}
    load(bank, SimulatedFeed(Simulation(customers=5, terminals=9, days=3)), 0)
    assert list(numbers(bank).values()) == [1, 2, 3]


def corrected(folder: Path, name: str, amount: float) -> None:
    """A file with the live day's payments, all with this amount."""
    frame(1, 4, start=str(LIVE), first_id=12).assign(TX_AMOUNT=amount).to_parquet(folder / name)


@pytest.mark.parametrize("names", [("b", "a"), ("b", "c")])
def test_of_one_id_and_second_the_file_that_landed_first_is_played_first(
    bank: psycopg.Connection, tiny: TinyScorer, tmp_path: Path, names: tuple[str, str]
) -> None:
    """Whatever the files are called and whatever is in them: corrections come second."""
    first, second = names
    frame(3, 4).to_parquet(tmp_path / "0.parquet")
    corrected(tmp_path, f"{first}.parquet", 10.0)
    load(bank, PublishedFeed(tmp_path, NOW), 1)
    for amount in (11.0, 12.0):
        corrected(tmp_path, f"{second}{amount}.parquet", amount)
        load(bank, PublishedFeed(tmp_path, NOW), 1)
    with ScorerClient(tiny.url, tiny.key, stop_after_attempt(3)) as scorer:
        replay(bank, scorer, day_to_play(PublishedFeed(tmp_path, NOW), LIVE, NOW))
    sent = [(body["transaction_id"], body["amount"]) for path, body in tiny.posted if path == "/v1/score"]
    assert sent == [(number, amount) for number in range(12, 16) for amount in (10.0, 11.0, 12.0)]


def test_the_live_replay_has_the_same_order(bank: psycopg.Connection, tmp_path: Path) -> None:
    frame(3, 4).to_parquet(tmp_path / "0.parquet")
    corrected(tmp_path, "b.parquet", 10.0)
    load(bank, PublishedFeed(tmp_path, NOW), 1)
    corrected(tmp_path, "a.parquet", 11.0)
    found = next_day(bank, PublishedFeed(tmp_path, NOW), [LIVE], NOW)
    assert found is not None
    assert [event.row["amount"] for event in found[1]] == [10.0, 11.0] * 4


def test_a_limit_counts_in_that_order(bank: psycopg.Connection, tiny: TinyScorer, tmp_path: Path) -> None:
    frame(3, 4).to_parquet(tmp_path / "0.parquet")
    corrected(tmp_path, "b.parquet", 10.0)
    load(bank, PublishedFeed(tmp_path, NOW), 1)
    corrected(tmp_path, "a.parquet", 11.0)
    with ScorerClient(tiny.url, tiny.key, stop_after_attempt(3)) as scorer:
        replay(bank, scorer, day_to_play(PublishedFeed(tmp_path, NOW), LIVE, NOW), limit=1)
    assert [body["amount"] for _, body in tiny.posted] == [10.0]


rows = st.tuples(
    st.integers(1, 3), st.integers(0, 2), st.integers(0, 999_999), st.sampled_from("abc"), st.integers(0, 9)
)


@given(st.lists(rows, max_size=20, unique_by=lambda row: row[3:]), st.permutations([1, 2, 3]))
def test_a_scorer_that_keeps_the_first_keeps_what_the_contract_says(
    given_rows: list[tuple[int, int, int, str, int]], order: list[int]
) -> None:
    """Rows: id, second and microsecond of arrival, source, row. Spark sorts by the columns of the contract."""
    numbered = dict(zip("abc", order, strict=True))
    events, landed = [], []
    for number, second, micro, source, row in given_rows:
        arrived = NOW + timedelta(seconds=second, microseconds=micro)
        held = {"transaction_id": number, "source_row": row, "arrived_at": arrived}
        events.append(Event(arrived.replace(microsecond=0), True, source, held))
        columns = {"arrived_at": second, "source_number": numbered[source], "source": source, "source_row": row}
        landed.append((number, *(columns[name] for name in ORDER)))
    kept: dict[int, tuple[str, int]] = {}
    for event in in_landing_order(events, numbered):
        kept.setdefault(event.row["transaction_id"], (event.source, event.row["source_row"]))
    by_contract: dict[object, tuple[object, ...]] = {}
    for number, *rest in sorted(landed):  # type: ignore[type-var]
        by_contract.setdefault(number, tuple(rest[-2:]))
    assert kept == by_contract


def test_a_day_s_events_in_one_second_are_reports_then_payments_by_id() -> None:
    second = pd.Timestamp(NOW).to_pydatetime()
    events = [
        Event(second, True, "a", {"transaction_id": 2, "source_row": 1}),
        Event(second, True, "b", {"transaction_id": 1, "source_row": 1}),
        Event(second, True, "b", {"transaction_id": None, "source_row": 2}),
        Event(second, False, "b", {"transaction_id": 9, "source_row": 3}),
    ]
    ordered = in_landing_order(events, {"a": 1, "b": 2})
    assert [event.row["transaction_id"] for event in ordered] == [9, None, 1, 2]
