from __future__ import annotations

import random
from datetime import date, timedelta

import pytest
from pyspark.sql import SparkSession

from contracts.days import DayRange
from contracts.labels import DAY
from spark_jobs.errors import JobError
from spark_jobs.lake.sources import write_source_numbers
from spark_jobs.settings import Settings
from spark_jobs.validate import validate
from tests.spark_jobs.lakes import FIRST_DAY, FIRST_SECOND, RawRow, digests, read_rows, write_raw

DAYS = [FIRST_DAY + timedelta(days=n) for n in range(3)]
ALL = DayRange(DAYS[0], DAYS[-1])


def on(day: int, source_row: int, *, after: int = 60, **fields: object) -> tuple[date, RawRow]:
    """A row of the day with this number, `after` seconds from midnight, that arrives at once."""
    second = FIRST_SECOND + day * DAY + after
    return DAYS[day], RawRow(source_row, **{"occurred_at": second, "arrived_at": second, **fields})  # type: ignore[arg-type]


def test_every_row_goes_to_clean_or_quarantine_with_its_values(spark: SparkSession, settings: Settings) -> None:
    rows = [
        on(0, 1, amount="10.01"),
        on(0, 2, amount="-1"),
        on(1, 3, customer_id=None),
        on(1, 4, arrived_at=FIRST_SECOND + 5 * DAY),
        on(2, 5, transaction_id=2**63 - 1, amount="1000000.00"),
        on(2, 6, amount="-2"),
    ]
    write_raw(settings.lake_root, rows)
    result = validate(spark, settings, ALL)
    assert result == {
        "rows_in": 6,
        "rows_good": 3,
        "rows_quarantined": 3,
        "reasons": {"amount_negative": 2, "customer_id_missing": 1},
        "rows_late": 1,
    }
    clean = read_rows(settings.lake_root, "clean")
    assert [(row["transaction_id"], row["amount_cents"]) for row in clean] == [(1, 1001), (4, 1250), (2**63 - 1, 10**8)]
    assert [int(row["occurred_at"].timestamp()) for row in clean] == [FIRST_SECOND + day * DAY + 60 for day in range(3)]
    assert clean[1]["arrived_at"].timestamp() == FIRST_SECOND + 5 * DAY
    bad = read_rows(settings.lake_root, "quarantine")
    assert [(row["source_row"], row["amount"], row["reason"]) for row in bad] == [
        (2, "-1", "amount_negative"),
        (3, "12.50", "customer_id_missing"),
        (6, "-2", "amount_negative"),
    ]


def test_the_first_valid_row_of_a_repeated_id_is_kept(spark: SparkSession, settings: Settings) -> None:
    at = FIRST_SECOND + 2 * DAY
    rows = [
        on(0, 1, transaction_id=7, arrived_at=at + 9),  # dated first, and came last
        on(1, 2, transaction_id=7, arrived_at=at + 5, source="b"),
        on(1, 3, transaction_id=7, arrived_at=at + 5),  # came first: of one second, by source and row
        on(1, 4, transaction_id=7, arrived_at=at + 5),
        on(2, 5, transaction_id=7, arrived_at=at, amount="-1"),  # before them all, but not valid
        on(2, 6, transaction_id=8),
    ]
    write_raw(settings.lake_root, rows)
    assert validate(spark, settings, ALL)["reasons"] == {"amount_negative": 1, "transaction_id_repeated": 3}
    assert [(row["transaction_id"], row["day"]) for row in read_rows(settings.lake_root, "clean")] == [
        (7, DAYS[1]),
        (8, DAYS[2]),
    ]
    kept_out = {row["source_row"]: row["reason"] for row in read_rows(settings.lake_root, "quarantine")}
    repeated = "transaction_id_repeated"
    assert kept_out == {1: repeated, 2: repeated, 4: repeated, 5: "amount_negative"}


def test_rows_of_one_id_and_arrival_are_ordered_by_the_numbers_of_their_sources(
    spark: SparkSession, settings: Settings
) -> None:
    """Not by the source's name, which is a digest; sources without a number come last. A mix of all, in one frame."""
    numbers = {"c": 1, "a": 2, "d": 10, "b": 9}
    write_source_numbers(settings.lake_root, numbers)
    rng = random.Random(5)
    places = rng.sample([(source, row) for source in "abcdef" for row in range(60)], 240)
    rows = [
        on(rng.randrange(3), row, source=source, transaction_id=rng.randrange(40), arrived_at=at + rng.randrange(3))
        for (source, row), at in zip(places, [FIRST_SECOND + 3 * DAY] * len(places), strict=True)
    ]
    write_raw(settings.lake_root, rows)
    validate(spark, settings, ALL)
    first: dict[object, RawRow] = {}
    for _, row in sorted(rows, key=lambda one: _in_order(one[1], numbers)):
        first.setdefault(row.transaction_id, row)
    quarantined = {(row["source"], row["source_row"]) for row in read_rows(settings.lake_root, "quarantine")}
    assert quarantined == {(row.source, row.source_row) for _, row in rows if row is not first[row.transaction_id]}
    assert len(read_rows(settings.lake_root, "clean")) == len(first) == 40


def _in_order(row: RawRow, numbers: dict[str, int]) -> tuple[object, ...]:
    return row.arrived_at, numbers.get(row.source, 1_000), row.source, row.source_row


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_days_validated_separately_equal_days_validated_together(
    spark: SparkSession, settings: Settings, order: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [on(n % 3, n, transaction_id=n % 20, arrived_at=FIRST_SECOND + 3 * DAY + n * 7 % 11) for n in range(60)]
    write_raw(settings.lake_root, rows)
    # Both query plans: few keys, which are broadcast, and many, which are shuffled.
    monkeypatch.setattr("spark_jobs.repeated_ids.BROADCAST_ROWS", 1000 * order[0])
    validate(spark, settings, ALL)
    together = digests(settings.lake_root)
    for path in settings.lake_root.glob("[cq]*/day=*/part.parquet"):
        path.unlink()
    for number in order:
        validate(spark, settings, DayRange(DAYS[number], DAYS[number]))
    assert digests(settings.lake_root) == together
    assert len(read_rows(settings.lake_root, "clean")) == 20


def test_a_rerun_writes_the_same_bytes_and_no_other_day(spark: SparkSession, settings: Settings) -> None:
    write_raw(settings.lake_root, [on(n % 3, n, amount=f"{n}.5") for n in range(30)])
    validate(spark, settings, ALL)
    before = digests(settings.lake_root)
    write_raw(settings.lake_root, [on(0, n, amount="-1") for n in range(5)])
    validate(spark, settings, DayRange(DAYS[1], DAYS[2]))
    after = digests(settings.lake_root)
    assert {name: after[name] for name in before if "raw" not in name} == {
        name: value for name, value in before.items() if "raw" not in name
    }


def test_a_corrected_day_leaves_quarantine(spark: SparkSession, settings: Settings) -> None:
    write_raw(settings.lake_root, [on(0, 1, amount="-1"), on(1, 2)])
    validate(spark, settings, ALL)
    write_raw(settings.lake_root, [on(0, 1)])
    assert validate(spark, settings, ALL)["rows_good"] == 2
    assert read_rows(settings.lake_root, "quarantine") == []


def test_infinite_instants_are_quarantined(spark: SparkSession, settings: Settings) -> None:
    far = 2**53
    rows = [on(0, 1, occurred_at=far, arrived_at=far), on(0, 2, arrived_at=-far), on(0, 3, occurred_at=-far)]
    write_raw(settings.lake_root, rows)
    assert validate(spark, settings, ALL)["reasons"] == {
        "arrived_at_out_of_range": 1,
        "occurred_at_after_9999": 1,
        "occurred_at_before_1970": 1,
    }


def test_a_lake_without_raw_says_what_to_run(spark: SparkSession, settings: Settings) -> None:
    with pytest.raises(JobError, match=r"the lake has no raw days in .*/lake/raw: run ingest for these days first"):
        validate(spark, settings, ALL)
