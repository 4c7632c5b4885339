"""The exploration's statistics, on data small enough to count by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bank.simulator import Simulation
from contracts.days import first_second
from contracts.features import FEATURES
from contracts.labels import DAY, LABEL_DELAY, NEVER
from modeling.data.lake import UNKNOWN_PATTERN
from modeling.notebooks import statistics
from modeling.notebooks.drift import feature_drift
from modeling.notebooks.narrative import describe_clusters, describe_extremes, number, percent, times
from modeling.notebooks.payments import SAMPLE_A_DAY, read_lake
from tests.modeling.simulated_lake import World, simulated, write_world

START = first_second(date(2025, 1, 1))


def payments(rows: list[tuple[int, float, float, bool]]) -> pd.DataFrame:
    """Labelled payments of (terminal, day, amount, fraud), known seven days later, each by another customer."""
    terminal, day, amount, fraud = (np.array(column) for column in zip(*rows, strict=True))
    occurred = START + (day * DAY).astype(np.int64)
    number = np.arange(len(rows))
    return pd.DataFrame(
        {
            "transaction_id": number,
            "customer_id": number,
            "terminal_id": terminal,
            "amount": amount,
            "occurred": occurred,
            "fraud": fraud,
            "settled": True,
            "known": np.where(fraud, occurred + LABEL_DELAY, NEVER),
        }
    )


BAD_TERMINAL = [(1, 0, 5, False), (1, 1, 5, True), (1, 2, 5, True), (1, 4, 5, True), (1, 5, 5, False), (1, 20, 5, True)]
OTHERS = [(terminal, day, 5, False) for terminal in range(2, 30) for day in range(20)]


def test_streaks_end_at_a_genuine_payment_of_the_same_terminal() -> None:
    rows = statistics.streaks(payments([*BAD_TERMINAL, (2, 3, 5, False), (2, 3.5, 5, True)]), "terminal_id")
    assert rows[["entity", "length"]].to_numpy().tolist() == [[1, 3], [1, 1], [2, 1]]
    assert (rows["last"] - rows["first"]).tolist() == [3 * DAY, 0, 0]


def test_clustered_frauds_are_told_from_scattered_ones() -> None:
    found = statistics.clusters(payments(BAD_TERMINAL + OTHERS), "terminal_id")
    assert (found.entities, found.hit, found.frauds, found.near) == (29, 1, 4, 0.75)
    assert found.gaps.tolist() == [1, 2, 16]
    assert found.near_by_chance < 0.5
    assert (found.longest, found.longest_days, found.longest_of) == (3, 3.0, 1)
    assert "more than the" in describe_clusters(found, "terminal")[1]
    scattered = [(terminal, day, 5, terminal == day) for terminal, day, *_ in OTHERS]
    assert statistics.clusters(payments(scattered), "terminal_id").near == 0


def test_a_hashed_id_is_shown_after_its_display_id() -> None:
    found = statistics.clusters(payments(BAD_TERMINAL + OTHERS), "terminal_id")
    assert "in a row at terminal 1, over" in " ".join(describe_clusters(found, "terminal"))
    hashed = replace(found, longest_of=5117203449120087321)
    assert "in a row at customer C-FFJF4 (5117203449120087321), over" in " ".join(describe_clusters(hashed, "customer"))


def test_shares_and_the_intervals_that_leave_chance_in_or_out() -> None:
    rows = payments([(1, 0, 5, n < 50) for n in range(100)] + [(2, 0, 5, n < 1) for n in range(100)])
    table = statistics.fraud_shares(rows, rows["terminal_id"])
    assert table["share"].tolist() == [0.5, 0.01]
    assert (table.loc[1, "low"], table.loc[1, "high"]) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert describe_extremes(table, "at {}").endswith("do not overlap.")
    few = statistics.fraud_shares(rows.iloc[[0, 60, 100, 160]], rows["terminal_id"])
    assert describe_extremes(few, "at {}").endswith("may be due to chance.")


def test_labels_known_on_a_day_follow_the_clock() -> None:
    rows = payments([(1, day, 5, True) for day in range(30)])
    on = statistics.known_on(rows, START + 20 * DAY)
    assert len(on) == 20
    assert on["known"].tolist() == [1] * 14 + [0] * 6
    assert (on["known"] + on["unknown"]).tolist() == [1] * 20
    after = statistics.known_after(rows)["share"]
    assert after[:7].tolist() == [0] * 7
    assert after[7:].tolist() == [1] * 8


def test_habit_is_the_customer_s_own_median() -> None:
    rows = payments([(1, day, amount, False) for day, amount in enumerate([10, 20, 90, 0, 0, 7])])
    rows["customer_id"] = [1, 1, 1, 2, 2, 2]
    assert statistics.against_habit(rows).tolist()[:3] == [0.5, 1, 4.5]
    assert statistics.against_habit(rows).isna().tolist()[3:] == [True] * 3


@pytest.mark.parametrize(("values", "expected"), [(range(100), 10), ([7] * 20, 1)])
def test_bands_hold_all_values(values: object, expected: int) -> None:
    cut = statistics.bands(pd.Series(values))
    assert cut.nunique() == expected
    assert not cut.isna().any()


def sample(days: int, a_day: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    occurred = START + np.repeat(np.arange(days), a_day) * DAY
    features = {name: rng.normal(size=len(occurred)) for name in FEATURES}
    fraud = rng.random(len(occurred)) < 0.1
    return pd.DataFrame({"occurred": occurred, "drawn": True, "settled": True, "fraud": fraud, **features})


def test_drift_finds_the_feature_that_changed_and_its_week() -> None:
    rows = sample(63)
    assert feature_drift(sample(10), START) is None
    moved = rows["occurred"] >= START + 56 * DAY
    rows.loc[moved, "amount"] += 1
    found = feature_drift(rows, START)
    assert found is not None
    assert found.after.stack().idxmax() == ("amount", pd.Timestamp(START + 56 * DAY, unit="s"))
    assert found.after.drop(index="amount").max().max() < 2 * found.noise < found.after.max().max()
    # The first week that starts 37 days or more after the first day.
    assert found.reference == pd.Timestamp(START + 42 * DAY, unit="s")
    assert found.before.shape == (len(FEATURES), 6)


def test_the_ranking_by_a_single_feature() -> None:
    rows = sample(10)
    rows["amount"] = rows["fraud"].astype(float)
    rows["is_night"] = -rows["amount"]
    auc = statistics.single_auc(rows, rows["fraud"])
    assert (auc["amount"], auc["is_night"]) == (1, 0)
    assert set(auc.index[-2:]) == {"amount", "is_night"}


@pytest.fixture(scope="module")
def world() -> World:
    return simulated(Simulation(customers=700, terminals=300, days=12, seed=1))


def test_labels_are_those_known_at_the_end_and_patterns_those_of_the_earliest_report(
    world: World, tmp_path: Path
) -> None:
    start = int(world.occurred.min()) // DAY * DAY
    now = start + 12 * DAY
    fraud = np.arange(len(world.fraud)) < 4
    write_world(tmp_path, replace(world, fraud=fraud), patterns=np.array([1, 2, 3, 9] + [0] * (len(fraud) - 4)))
    known, late, earlier, young = (int(world.transaction_id[row]) for row in (0, 5, 1, -1))
    # The recent one was reported at once, but the delay still has to pass.
    rows = [(known, start + 11 * DAY, 2), (late, now + 1, 1), (earlier, start + DAY, 3), (young, now - 1, 1)]
    more = tmp_path / "reports/day=2030-01-01/part.parquet"
    more.parent.mkdir()
    ids, reported, patterns = (np.array(column) for column in zip(*rows, strict=True))
    instants = pa.array(reported * 1_000_000).cast(pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({"transaction_id": ids, "reported_at": instants, "pattern": patterns}), more)
    explored = read_lake(tmp_path)
    assert explored.now == now
    found = explored.payments.set_index("transaction_id")
    assert found.index[found["fraud"]].tolist() == world.transaction_id[:4].tolist()
    assert found["pattern"][found["fraud"]].tolist() == [1, 3, 3, UNKNOWN_PATTERN]
    assert found["reported"][late] == NEVER
    assert found["known"][young] == found["occurred"][young] + LABEL_DELAY > now
    assert explored.patterns == [1, 3]
    assert (found["settled"] == (found["occurred"] <= now - LABEL_DELAY)).all()


def test_the_sample_has_all_frauds_and_as_many_payments_of_each_day(world: World, tmp_path: Path) -> None:
    write_world(tmp_path, world)
    one, again = (read_lake(tmp_path) for _ in range(2))
    assert one.sample.equals(again.sample)
    assert one.sample["fraud"].sum() == one.payments["fraud"].sum() > 0
    a_day = one.sample[one.sample["drawn"]].groupby(one.sample["occurred"] // DAY).size()
    assert (a_day == SAMPLE_A_DAY).all()
    amounts = one.payments.set_index("transaction_id")["amount"]
    assert (one.sample.set_index("transaction_id")["amount"] == amounts[one.sample["transaction_id"]]).all()


def test_numbers_in_words() -> None:
    assert [percent(share) for share in (0, 0.00828, 0.5, 0.99967, 1)] == [
        "0 %",
        "0.828 %",
        "50 %",
        "99.967 %",
        "100 %",
    ]
    assert [number(count, "day") for count in (0, 1, 1204)] == ["0 days", "1 day", "1,204 days"]
    assert [times(left, right) for left, right in ((0, 0), (3, 3), (6, 3), (1, 0))] == [
        "1 time",
        "1 time",
        "2 times",
        "infinitely many times",
    ]
