"""Rows that land after their day was ingested: ingest names the days to run again, and such a run makes them right."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import psycopg
import pytest
from pyspark.sql import SparkSession

from contracts.days import DayRange
from spark_jobs.ingest import ingest
from spark_jobs.settings import Settings
from spark_jobs.validate import validate
from tests.spark_jobs.lakes import read_rows

FIRST = date(2024, 3, 1)
DAYS = [FIRST + timedelta(days=n) for n in range(60)]
INSERT = "insert into bank.transactions values (%s, %s, %s, 1, 1, 1.50, %s, %s)"


class Bank:
    """Lands rows in the bank."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        self._rows = 0

    def land(self, day: int, number: int | None = None, *, arrives: int | None = None, source: str = "file") -> None:
        """Land a payment of this day at noon, at once or on the day it arrives; its id is `number` or a new one."""
        self._rows += 1
        came = DAYS[day if arrives is None else arrives]
        number = 1_000 + self._rows if number is None else number
        at = f"{DAYS[day]} 12:00:{self._rows % 60:02}+00"
        self.connection.execute(INSERT, [source, self._rows, number, at, f"{came} 12:00:59+00"])

    def report(self, day: int, number: int) -> None:
        """Land a fraud report of this day."""
        self._rows += 1
        at = f"{DAYS[day]} 13:00+00"
        self.connection.execute(
            "insert into bank.fraud_reports values ('file', %s, %s, %s, %s)", [self._rows, number, at, at]
        )


@pytest.fixture
def filled(bank: psycopg.Connection) -> Bank:
    """Two payments on each of the days 0 to 49 but on day 30, which has none."""
    landed = Bank(bank)
    for day in range(50):
        for _ in range(2 * (day != 30)):
            landed.land(day)
    return landed


@pytest.fixture
def ingested(spark: SparkSession, live_settings: Settings, filled: Bank) -> Bank:
    """The same, and days 0 to 48 ingested."""
    assert run(spark, live_settings, 0, 48) == []
    return filled


def run(spark: SparkSession, settings: Settings, first: int, last: int) -> list[str]:
    """Ingest these days; returns the days to run again."""
    days = ingest(spark, settings, DayRange(DAYS[first], DAYS[last]))["days_to_rerun"]
    assert isinstance(days, list)
    return days


def named(*spans: tuple[int, int]) -> list[str]:
    return [str(DAYS[day]) for first, last in spans for day in range(first, last + 1)]


def test_days_without_late_rows_need_no_other_run(
    spark: SparkSession, live_settings: Settings, ingested: Bank, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(spark, live_settings, 49, 49) == []
    assert "again" not in capsys.readouterr().out


@pytest.mark.parametrize("arrives", [49, 45])
def test_a_row_that_lands_days_later_names_its_day_and_those_that_depend_on_it(
    spark: SparkSession,
    live_settings: Settings,
    ingested: Bank,
    capsys: pytest.CaptureFixture[str],
    arrives: int,
) -> None:
    """Also if its file says that it arrived in time."""
    ingested.land(45, arrives=arrives)
    assert run(spark, live_settings, 49, 49) == named((45, 49))
    told = f"rows landed after their day was ingested: {DAYS[45]}; run {DAYS[45]}..{DAYS[49]} again"
    assert told in capsys.readouterr().out
    # Until it is done, every run says so; then no more.
    assert run(spark, live_settings, 49, 49) == named((45, 49))
    assert run(spark, live_settings, 45, 49) == []
    assert len([row for row in read_rows(live_settings.lake_root, "raw") if row["day"] == DAYS[45]]) == 3
    validated = validate(spark, live_settings, DayRange(DAYS[45], DAYS[49]))
    assert (validated["rows_in"], validated["rows_late"]) == (11, int(arrives == 49))
    # Late again, on the same day and on another.
    ingested.land(45, arrives=49)
    ingested.land(47, arrives=49)
    assert run(spark, live_settings, 49, 49) == named((45, 49))
    assert run(spark, live_settings, 45, 49) == []


def test_a_row_older_than_the_horizon_names_only_the_days_within_it(
    spark: SparkSession, live_settings: Settings, ingested: Bank
) -> None:
    ingested.land(3, arrives=49)
    # The day 30 has no rows.
    assert run(spark, live_settings, 49, 49) == named((3, 29), (31, 40))
    # A day that had no rows, and so no partition.
    ingested.land(30, arrives=49)
    assert run(spark, live_settings, 3, 29) == named((30, 49))
    assert run(spark, live_settings, 30, 49) == []


def test_a_report_that_lands_late_names_its_day(spark: SparkSession, live_settings: Settings, ingested: Bank) -> None:
    ingested.report(46, 1_001)
    assert run(spark, live_settings, 49, 49) == named((46, 49))
    assert run(spark, live_settings, 46, 49) == []


def test_a_late_row_with_a_known_id_names_the_day_of_the_other_too(
    spark: SparkSession, live_settings: Settings, ingested: Bank
) -> None:
    """It says that it arrived before, so that it takes the place of the other."""
    ingested.land(40, 77)
    assert run(spark, live_settings, 40, 48) == []
    validate(spark, live_settings, DayRange(DAYS[0], DAYS[48]))
    ingested.land(44, 77, arrives=44, source="second")
    ingested.land(35, 77, arrives=35, source="third")
    again = run(spark, live_settings, 49, 49)
    assert again == named((35, 49))
    days = DayRange(date.fromisoformat(again[0]), date.fromisoformat(again[-1]))
    ingest(spark, live_settings, days)
    validate(spark, live_settings, days)
    kept = [row["day"] for row in read_rows(live_settings.lake_root, "clean") if row["transaction_id"] == 77]
    assert kept == [DAYS[35]]
    # The other days of its id are before it and after the horizon.
    ingested.land(41, 1_001, arrives=49)
    assert run(spark, live_settings, 49, 49)[0] == str(DAYS[0])


def test_rows_of_days_not_yet_ingested_are_not_late(
    spark: SparkSession, live_settings: Settings, ingested: Bank
) -> None:
    ingested.land(52)
    assert run(spark, live_settings, 49, 49) == []
    # Then it is one that was left out between two.
    assert run(spark, live_settings, 54, 54) == named((52, 52))
    ingested.land(54)
    assert run(spark, live_settings, 54, 54) == named((52, 52), (54, 54))


def test_the_first_ingest_of_a_lake_knows_no_late_rows(
    spark: SparkSession, live_settings: Settings, filled: Bank
) -> None:
    assert run(spark, live_settings, 20, 25) == []


def test_ingest_keeps_the_numbers_of_the_sources(
    spark: SparkSession, live_settings: Settings, filled: Bank, tmp_path: Path
) -> None:
    import pyarrow.parquet as pq

    for source in ("z", "a"):
        filled.connection.execute("insert into bank.sources (source) values (%s)", [source])
    run(spark, live_settings, 0, 1)
    numbers = pq.read_table(live_settings.lake_root / "sources.parquet").to_pylist()
    assert {row["source"]: row["source_number"] for row in numbers} == {"z": 1, "a": 2}
    assert [path.name for path in live_settings.lake_root.glob(".sources*")] == []
    assert tmp_path.exists()
