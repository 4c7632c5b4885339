from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from contracts.days import DayRange
from contracts.features import FEATURES
from contracts.labels import DAY, LABEL_DELAY
from contracts.transaction import from_epoch_seconds
from spark_jobs.build_features import build_features, customer_pass, terminal_pass
from spark_jobs.errors import JobError
from spark_jobs.settings import Settings
from tests.spark_jobs.lakes import (
    FIRST_DAY,
    FIRST_SECOND,
    Payment,
    by_definition,
    digests,
    forget_patterns,
    read_rows,
    run_passes,
    write_clean,
)

DAYS = [FIRST_DAY + timedelta(days=n) for n in range(50)]
ALL = DayRange(DAYS[0], DAYS[-1])


def payment_lists(size: int) -> st.SearchStrategy[list[Payment]]:
    """Few customers and terminals over 50 days, so that many payments fall on window edges and the same second."""
    coarse = st.integers(0, 49).map(lambda day: FIRST_SECOND + day * DAY)
    fine = st.integers(FIRST_SECOND, FIRST_SECOND + 50 * DAY - 1)
    moments = st.one_of(coarse, coarse.map(lambda second: second + 1), fine)
    delays = st.one_of(st.none(), st.sampled_from([0, 1, LABEL_DELAY - 1, LABEL_DELAY]), st.integers(0, 45 * DAY))
    one = st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 10**8), moments, delays)
    return st.lists(one, min_size=1, max_size=size).map(numbered)


def numbered(rows: list[tuple[int, int, int, int, int | None]]) -> list[Payment]:
    """Ids that decrease with time, near the maximum of int64, so that nothing depends on their order."""
    return [
        Payment(2**63 - 1 - n, customer, 2**62 + terminal, cents, at, None if delay is None else at + delay)
        for n, (customer, terminal, cents, at, delay) in enumerate(rows)
    ]


@given(payment_lists(40), st.integers(0, 49))
def test_the_passes_equal_the_definitions(payments: list[Payment], first: int) -> None:
    start = FIRST_SECOND + first * DAY
    expected = {p.transaction_id: by_definition(p, payments) for p in payments if p.occurred >= start}
    assume(expected)
    rows = run_passes(payments, start).to_pylist()
    assert {row["transaction_id"]: {name: row[name] for name in FEATURES} for row in rows} == expected
    assert [(row["occurred_at"], row["transaction_id"]) for row in rows] == sorted(
        (from_epoch_seconds(p.occurred), p.transaction_id) for p in payments if p.occurred >= start
    )


@pytest.mark.parametrize("make", [customer_pass, terminal_pass])
def test_a_task_without_rows_yields_none(make: Callable[[int], Callable[[Iterator[pa.RecordBatch]], object]]) -> None:
    assert list(make(0)(iter([]))) == []  # type: ignore[call-overload]


def random_payments(count: int, seed: int) -> list[Payment]:
    """A fixed set of many entities; two in five payments share their second with another of the same entity."""
    chance = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        at = FIRST_SECOND + int(chance.integers(0, 50)) * DAY + int(chance.choice([0, 1, 43_200, 86_399]))
        delay = int(chance.integers(0, 30 * DAY)) if chance.random() < 0.3 else None
        rows.append(
            (int(chance.integers(0, 12)), int(chance.integers(0, 9)), int(chance.integers(0, 30_000)), at, delay)
        )
    return numbered(rows)


def test_spark_s_output_equals_the_definitions(spark: SparkSession, settings: Settings) -> None:
    payments = random_payments(900, seed=1)
    write_clean(settings.lake_root, payments)
    assert build_features(spark, settings, ALL) == {"rows_in": 900, "rows_out": 900}
    found = {row["transaction_id"]: row for row in read_rows(settings.lake_root, "features")}
    for p in payments:
        row = found[p.transaction_id]
        # The kernel is exact up to its last division, so the values must be equal.
        assert {name: row[name] for name in FEATURES} == by_definition(p, payments)
        assert (row["customer_id"], row["terminal_id"], row["day"]) == (p.customer_id, p.terminal_id, p.day)
        assert row["occurred_at"].timestamp() == p.occurred


def test_days_built_separately_equal_days_built_together(
    spark: SparkSession, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    payments = random_payments(700, seed=2)
    write_clean(settings.lake_root, payments)
    build_features(spark, settings, ALL)
    together = digests(settings.lake_root)
    assert len(together) > 100
    for path in (settings.lake_root / "features").glob("day=*/part.parquet"):
        path.unlink()
    # In many more tasks than before, from the middle on, then the beginning.
    monkeypatch.setattr("spark_jobs.lake.histories.ROWS_PER_TASK", 100)
    build_features(spark, settings, DayRange(DAYS[41], DAYS[49]))
    assert min(row["day"] for row in read_rows(settings.lake_root, "features")) == DAYS[41]
    build_features(spark, settings, DayRange(DAYS[0], DAYS[40]))
    assert digests(settings.lake_root) == together


def test_the_earliest_of_several_reports_counts_and_a_future_one_does_not(
    spark: SparkSession, settings: Settings
) -> None:
    first = Payment(1, 1, 1, 100, FIRST_SECOND, FIRST_SECOND + 9 * DAY)
    again = Payment(1, 1, 1, 100, FIRST_SECOND, FIRST_SECOND + 8 * DAY)
    unseen = Payment(2, 1, 1, 100, FIRST_SECOND, FIRST_SECOND + 12 * DAY)
    asked = Payment(3, 1, 1, 100, FIRST_SECOND + 8 * DAY)
    write_clean(settings.lake_root, [first, unseen, asked])
    write_clean(settings.lake_root / "again", [again])
    (settings.lake_root / "again/reports" / f"day={DAYS[8]}").rename(settings.lake_root / "reports" / f"day={DAYS[8]}")
    # Both reports are read.
    build_features(spark, settings, DayRange(DAYS[8], DAYS[9]))
    (row,) = read_rows(settings.lake_root, "features")
    assert (row["terminal_tx_count_7d"], row["terminal_fraud_rate_7d"]) == (2.0, 0.5)


def test_reports_without_a_pattern_column_count_as_well(spark: SparkSession, settings: Settings) -> None:
    payments = random_payments(300, seed=3)
    write_clean(settings.lake_root, payments)
    forget_patterns(settings.lake_root)
    build_features(spark, settings, ALL)
    rows = read_rows(settings.lake_root, "features")
    found = {row["transaction_id"]: {name: row[name] for name in FEATURES} for row in rows}
    assert found == {p.transaction_id: by_definition(p, payments) for p in payments}
    assert any(row["terminal_fraud_rate_30d"] for row in found.values())


def test_a_day_that_lost_its_payments_loses_its_features(spark: SparkSession, settings: Settings) -> None:
    write_clean(settings.lake_root, [Payment(n, 1, 1, 100, FIRST_SECOND + n * DAY) for n in range(3)])
    build_features(spark, settings, ALL)
    (settings.lake_root / f"clean/day={DAYS[1]}/part.parquet").unlink()
    assert build_features(spark, settings, DayRange(DAYS[1], DAYS[1])) == {"rows_in": 0, "rows_out": 0}
    assert [row["day"] for row in read_rows(settings.lake_root, "features")] == [DAYS[0], DAYS[2]]


def test_a_lake_without_clean_payments_says_what_to_run(spark: SparkSession, settings: Settings) -> None:
    with pytest.raises(JobError, match=r"the lake has no clean days in .*: run validate for these days first"):
        build_features(spark, settings, ALL)
