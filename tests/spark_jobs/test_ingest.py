from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pyspark.sql import SparkSession

from contracts.days import DayRange
from contracts.labels import DAY
from spark_jobs import ingest as ingest_module
from spark_jobs.errors import JobError
from spark_jobs.ingest import ingest
from spark_jobs.io.bank_source import FOREVER
from spark_jobs.settings import Settings
from spark_jobs.validate import validate
from tests.spark_jobs.lakes import FIRST_DAY, FIRST_SECOND, digests, read_rows

DAYS = [FIRST_DAY + timedelta(days=n) for n in range(5)]
MIDDLE = DayRange(DAYS[1], DAYS[3])
INSERT = "insert into bank.transactions values (%s, %s, %s, %s, %s, %s, %s, %s)"


def land(bank: psycopg.Connection, *rows: tuple[Any, ...]) -> None:
    """Insert rows: source row, amount, occurred at, arrived at; the ids follow from the row's number."""
    with bank.cursor() as cursor:
        cursor.executemany(INSERT, [("file", n, n, n % 3, n % 5, amount, at, came) for n, amount, at, came in rows])


def land_days(bank: psycopg.Connection, per_day: int) -> None:
    """`per_day` payments on each of `DAYS`, the first and last at its edges, and one report per day."""
    rows = []
    for number, day in enumerate(DAYS):
        for n in range(per_day):
            at = f"{day} 00:00:00+00" if n == 0 else f"{day} 23:59:59.999999+00" if n == 1 else f"{day} 12:00:{n:02}+00"
            rows.append((number * 100 + n, "1.50", at, at))
        bank.execute(
            "insert into bank.fraud_reports values ('file', %s, %s, %s, %s)",
            (number, number * 100, f"{day} 10:00+00", f"{day} 10:00+00"),
        )
    land(bank, *rows)


def days_of(lake: Path, table: str) -> list[date]:
    return sorted({row["day"] for row in read_rows(lake, table)})


def test_exactly_the_requested_days_are_ingested(
    spark: SparkSession, live_settings: Settings, bank: psycopg.Connection
) -> None:
    land_days(bank, 4)
    assert ingest(spark, live_settings, MIDDLE) == {
        "rows_in": 12,
        "rows_out": 12,
        "reports": 3,
        "days_to_rerun": [],
    }
    lake = live_settings.lake_root
    assert days_of(lake, "raw") == days_of(lake, "reports") == DAYS[1:4]
    first, last = read_rows(lake, "raw")[:2]
    assert (first["occurred_at"], first["occurred_micros"], first["amount"]) == (FIRST_SECOND + DAY, False, "1.50")
    # Fractions of a second are truncated, and `occurred_micros` records it.
    assert (last["occurred_at"], last["occurred_micros"]) == (FIRST_SECOND + 2 * DAY - 1, True)
    report = read_rows(lake, "reports")[0]
    assert report["reported_at"].timestamp() == FIRST_SECOND + DAY + 36_000


def test_a_rerun_writes_the_same_bytes_and_an_emptied_day_is_removed(
    spark: SparkSession, live_settings: Settings, bank: psycopg.Connection
) -> None:
    land_days(bank, 3)
    ingest(spark, live_settings, DayRange(DAYS[0], DAYS[4]))
    before = digests(live_settings.lake_root)
    ingest(spark, live_settings, MIDDLE)
    assert digests(live_settings.lake_root) == before
    bank.execute("delete from bank.transactions where day = %s", [DAYS[2]])
    assert ingest(spark, live_settings, MIDDLE)["rows_out"] == 6
    gone = f"raw/day={DAYS[2]}/part.parquet"
    assert digests(live_settings.lake_root) == {name: value for name, value in before.items() if name != gone}


def test_every_row_of_the_bank_is_ingested_and_validated(
    spark: SparkSession, live_settings: Settings, bank: psycopg.Connection
) -> None:
    came = f"{DAYS[1]} 12:00+00"
    huge = "9" * 200 + ".5"
    rows = [
        (1, "NaN", came, came),
        (2, "Infinity", came, came),
        (3, huge, came, came),
        (4, None, None, came),
        (5, "1", "infinity", came),
        (6, "1", "-infinity", came),
        (7, "1", "4713-01-01 BC", came),
        (8, "1", "294276-12-31 23:59:59+00", came),
        (9, "1.005", "1969-12-31 23:59:59.5+00", came),
        (10, "0.00", came, came),
    ]
    land(bank, *rows)
    bank.execute("insert into bank.transactions (source, source_row, arrived_at) values ('file', 11, %s)", [came])
    assert ingest(spark, live_settings, MIDDLE)["rows_out"] == 11
    raw = {row["source_row"]: row for row in read_rows(live_settings.lake_root, "raw")}
    assert [raw[n]["amount"] for n in (1, 2, 3, 4)] == ["NaN", "Infinity", huge, None]
    assert [raw[n]["occurred_at"] for n in (4, 5, 6, 8, 9)] == [None, FOREVER, -FOREVER, 9_224_318_015_999, -1]
    result = validate(spark, live_settings, MIDDLE)
    assert (result["rows_in"], result["rows_good"]) == (11, 1)
    assert result["reasons"] == {
        "amount_above_maximum": 1,
        "amount_missing": 1,
        "amount_not_a_number": 2,
        "amount_not_two_decimals": 1,
        "occurred_at_after_9999": 2,
        "occurred_at_before_1970": 2,
        "transaction_id_missing": 1,
    }


def test_reports_without_a_usable_time_are_ingested_too(
    spark: SparkSession, live_settings: Settings, bank: psycopg.Connection
) -> None:
    for row, at in enumerate((None, "infinity", "-infinity", "200000-01-01", f"{DAYS[1]} 09:00+00")):
        bank.execute(
            "insert into bank.fraud_reports values ('file', %s, %s, %s, %s)", (row, row, at, f"{DAYS[1]} 12:00+00")
        )
    assert ingest(spark, live_settings, MIDDLE)["reports"] == 5
    found = {row["transaction_id"]: row["reported_at"] for row in read_rows(live_settings.lake_root, "reports")}
    assert [found[n] for n in range(4)] == [None] * 4
    assert found[4] is not None


def test_reports_have_their_pattern_if_one_is_known(
    spark: SparkSession, live_settings: Settings, bank: psycopg.Connection
) -> None:
    insert = (
        "insert into bank.fraud_reports (source, source_row, transaction_id, reported_at, arrived_at, pattern)"
        " values (%s, 1, 1, %s, %s, %s)"
    )
    at = f"{DAYS[1]} 09:00+00"
    # Same payment and second, so that only the pattern orders them within the file.
    for source, pattern in (("b", 3), ("c", None), ("a", 1), ("d", 2)):
        bank.execute(insert, (source, at, at, pattern))
    assert ingest(spark, live_settings, MIDDLE)["reports"] == 4
    assert [row["pattern"] for row in read_rows(live_settings.lake_root, "reports")] == [1, 2, 3, None]


def test_a_rejected_password_names_the_server_and_the_secret(
    spark: SparkSession, live_settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "bank_reader_password").write_text("wrong")
    wrong = live_settings.model_copy(update={"secrets_dir": tmp_path})
    with pytest.raises(
        JobError, match=r"cannot connect to postgresql://127.0.0.1:.* as bank_reader \(.*\): check BANK_URL"
    ) as caught:
        ingest(spark, wrong, MIDDLE)
    assert "wrong" not in str(caught.value)


def test_a_missing_bank_is_named_with_its_address(spark: SparkSession, live_settings: Settings) -> None:
    nowhere = live_settings.model_copy(update={"bank_url": "postgresql://127.0.0.1:1/bank"})
    with pytest.raises(JobError, match=r"cannot connect to postgresql://127.0.0.1:1/bank.*refused.*check BANK_URL"):
        ingest(spark, nowhere, MIDDLE)


def test_a_missing_column_of_the_bank_is_named(
    spark: SparkSession, live_settings: Settings, bank: psycopg.Connection
) -> None:
    land_days(bank, 1)
    bank.execute("alter table bank.transactions rename column amount to sum")
    try:
        with pytest.raises(
            Exception,
            match=r'JobError: reading postgresql://.* failed \(.*column "amount" does not exist.*\): run again',
        ):
            ingest(spark, live_settings, MIDDLE)
    finally:
        bank.execute("alter table bank.transactions rename column sum to amount")
    assert digests(live_settings.lake_root) == {}


def test_rows_that_arrive_during_an_ingest_wait_for_the_next_run(
    spark: SparkSession, live_settings: Settings, bank: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    land_days(bank, 2)
    count = ingest_module.count_days

    def count_then_land(cursor: Any, landing: str, days: DayRange) -> dict[date, int]:
        counted = count(cursor, landing, days)
        if landing == "transactions":
            at = f"{DAYS[2]} 13:00+00"
            land(bank, (9_000, "1.50", at, at))
        return counted

    monkeypatch.setattr(ingest_module, "count_days", count_then_land)
    assert ingest(spark, live_settings, MIDDLE)["rows_out"] == 6
    monkeypatch.undo()
    assert ingest(spark, live_settings, MIDDLE)["rows_out"] == 7


def test_unknown_labels_are_ingested_by_the_day_they_arrive(
    spark: SparkSession, live_settings: Settings, bank: psycopg.Connection
) -> None:
    land_days(bank, 3)
    rows = [(100, DAYS[0]), (201, DAYS[2]), (202, DAYS[2]), (None, DAYS[3]), (400, DAYS[4])]
    for n, (number, day) in enumerate(rows):
        # The end of a day in UTC, written in another zone.
        bank.execute(
            "insert into bank.unknown_labels values ('file', %s, %s, %s)", (n, number, f"{day} 20:59:59.9-03:00")
        )
    lake = live_settings.lake_root
    assert ingest(spark, live_settings, MIDDLE) == {"rows_in": 9, "rows_out": 9, "reports": 3, "days_to_rerun": []}
    found = [(row["transaction_id"], row["day"]) for row in read_rows(lake, "unknown_labels")]
    assert found == [(201, DAYS[2]), (202, DAYS[2]), (None, DAYS[3])]
    before = digests(lake)
    ingest(spark, live_settings, MIDDLE)
    assert digests(lake) == before
    bank.execute("delete from bank.unknown_labels where transaction_id = 201 or transaction_id is null")
    ingest(spark, live_settings, MIDDLE)
    assert [row["transaction_id"] for row in read_rows(lake, "unknown_labels")] == [202]
