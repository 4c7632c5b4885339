"""The included maps: each reads a file in its shape alone, every row accounted for."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bank.load import load
from bank.map_files import MAPS, find_map, read_map
from bank.mapped.feed import MappedFeed
from tests.bank.frames import count
from tests.bank.mapped import KEY, NOW, payments, refunds
from tests.bank.shapes import SHAPES, SIZE, sparkov

# Refunds, unknown labels and refused rows of each shape.
EXPECTED = {
    "sparkov": (0, 0, {}),
    "tabformer": (8, 0, {}),
    "paysim": (0, 0, {"amount: above 1,000,000.00": 1}),
    "s-ffsd": (0, 253, {}),
    "ieee-cis": (0, 0, {}),
    "handbook": (0, 0, {}),
}


def shaped(name: str, folder: Path) -> MappedFeed:
    path = find_map(name)
    return MappedFeed(SHAPES[name](folder), read_map(path), path, NOW, KEY)


def test_every_map_that_ships_is_tested() -> None:
    assert {path.stem for path in MAPS.glob("*.toml")} == set(SHAPES)


@pytest.mark.parametrize("name", SHAPES)
def test_a_map_is_short(name: str) -> None:
    assert len(find_map(name).read_text().splitlines()) <= 15


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_is_read_by_its_map_alone(name: str, tmp_path: Path) -> None:
    feed = shaped(name, tmp_path)
    refunded, unknown, refused = EXPECTED[name]
    assert len(feed.days()) >= 39
    assert (feed.tally.refunds, feed.tally.unknown_labels, dict(feed.tally.refused)) == (refunded, unknown, refused)
    assert feed.tally.rows == SIZE == feed.total() + refunded + sum(refused.values())
    assert feed.tally.frauds > 10
    rows = payments(feed)
    assert len({row["transaction_id"] for row in rows}) == len(rows) == feed.total()
    assert all(0 <= row[name] < 2**63 for row in rows for name in ("transaction_id", "customer_id", "terminal_id"))


@pytest.mark.parametrize(
    ("name", "customers", "terminals"),
    [("sparkov", 4, 2), ("tabformer", 10, 3), ("paysim", 7, 5), ("s-ffsd", 9, 4), ("ieee-cis", 24, 2)],
)
def test_ids_stay_apart(name: str, customers: int, terminals: int, tmp_path: Path) -> None:
    rows = payments(shaped(name, tmp_path))
    found = len({row["customer_id"] for row in rows}), len({row["terminal_id"] for row in rows})
    assert found[1] == terminals
    assert found[0] == customers or (name == "ieee-cis" and 6 < found[0] <= customers)


def test_sparkov_s_card_numbers_are_hashed_the_short_ones_too(tmp_path: Path) -> None:
    rows = payments(shaped("sparkov", tmp_path))
    cards = {4_613_314_721_966, 180_042_946_491_150, 6_011_438_889_172_900, 60_416_207_185}
    assert not {row["customer_id"] for row in rows} & cards


def test_tabformer_s_negative_amounts_are_refunds_and_its_times_are_joined(tmp_path: Path) -> None:
    feed = shaped("tabformer", tmp_path)
    assert {row["amount"] for row in refunds(feed)} == {99.0}
    assert (payments(feed)[0]["occurred_at"].isoformat(), payments(feed)[0]["amount"]) == (
        "2019-01-01T00:00:00+00:00",
        0.91,
    )


def test_steps_and_offsets_count_from_the_stated_origin(tmp_path: Path) -> None:
    for name, first in (("paysim", date(2017, 1, 1)), ("s-ffsd", date(2019, 1, 1)), ("ieee-cis", date(2017, 12, 2))):
        assert shaped(name, tmp_path).days()[0] == first


def test_ieee_s_third_decimal_is_rounded_and_counted(tmp_path: Path) -> None:
    feed = shaped("ieee-cis", tmp_path)
    assert payments(feed)[0]["amount"] == 0.12
    assert feed.tally.notes == {
        "amounts with more than two decimals, rounded to the nearest cent, halves to the even one": SIZE // 10
    }


@pytest.mark.parametrize("name", ["sparkov", "tabformer", "s-ffsd"])
def test_a_shape_is_loaded_once(bank: psycopg.Connection[Any], name: str, tmp_path: Path) -> None:
    feed = shaped(name, tmp_path)
    refunded, unknown, _ = EXPECTED[name]
    first, again = load(bank, feed, 0), load(bank, feed, 0)
    assert (first.rows_new, again.rows_new) == (SIZE - refunded, 0)
    assert count(bank) == SIZE - refunded
    assert (count(bank, table="refunds"), count(bank, table="unknown_labels")) == (refunded, unknown)
    assert first.reports_new == count(bank, table="fraud_reports") == feed.tally.frauds


def test_a_copy_under_another_name_and_a_packed_one_add_nothing(bank: psycopg.Connection[Any], tmp_path: Path) -> None:
    import gzip

    whole = sparkov(tmp_path).read_bytes()
    path = find_map("sparkov")
    load(bank, MappedFeed(tmp_path, read_map(path), path, NOW, KEY), 0)
    (tmp_path / "fraudTrain.csv").rename(tmp_path / "again.CSV")
    (tmp_path / "packed.csv.gz").write_bytes(gzip.compress(whole))
    again = load(bank, MappedFeed(tmp_path, read_map(path), path, NOW, KEY), 0)
    assert (again.rows, again.rows_new, count(bank)) == (SIZE, 0, SIZE)
