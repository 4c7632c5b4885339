from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.days import DayRange
from contracts.features import FEATURES
from contracts.labels import DAY
from contracts.transaction import from_epoch_seconds
from spark_jobs.compare_decisions import compare_decisions
from spark_jobs.count_lake import count_lake
from spark_jobs.errors import JobError
from spark_jobs.settings import Settings
from tests.spark_jobs.lakes import (
    FIRST_DAY,
    FIRST_SECOND,
    Payment,
    RawRow,
    by_definition,
    write_clean,
    write_raw,
    write_table,
)

DAYS = [FIRST_DAY + timedelta(days=n) for n in range(40)]
TODAY = DayRange(DAYS[38], DAYS[38])
START = FIRST_SECOND + 38 * DAY
TABLE = """
drop table if exists serving.decisions cascade;
create table serving.decisions (
    transaction_id bigint primary key, customer_id bigint, terminal_id bigint, amount numeric(12,2),
    occurred_at timestamptz, score float8, decision text, reasons jsonb, model_version text,
    degraded bool, features jsonb, features_version text, applied bigint, decided_at timestamptz)
"""


@pytest.fixture
def decisions(servers: dict[str, str], live_settings: Settings) -> Iterator[psycopg.Connection]:
    """The empty decision log, as its owner."""
    password = (live_settings.secrets_dir / "decisions_password").read_text().strip()
    with psycopg.connect(servers["DECISIONS_URL"], user="scorer", password=password, autocommit=True) as connection:
        connection.execute(TABLE)
        yield connection


def record(
    decisions: psycopg.Connection, payment: Payment, applied: int, features: dict[str, Any], degraded: bool = False
) -> None:
    decisions.execute(
        "insert into serving.decisions "
        "(transaction_id, customer_id, terminal_id, occurred_at, amount, applied, features, degraded) "
        "values (%s, %s, %s, %s, %s, %s, %s, %s)",
        [
            *(payment.transaction_id, payment.customer_id, payment.terminal_id, from_epoch_seconds(payment.occurred)),
            *(Decimal(payment.cents) / 100, applied, json.dumps(features), degraded),
        ],
    )


def write_features(settings: Settings, payments: list[Payment]) -> None:
    rows = []
    for p in payments:
        keys = {"transaction_id": p.transaction_id, "customer_id": p.customer_id, "terminal_id": p.terminal_id}
        rows.append((p.day, {**keys, "occurred_at": from_epoch_seconds(p.occurred), **by_definition(p, payments)}))
    write_table(settings.lake_root, "features", rows)


def a_day(count: int = 12) -> list[Payment]:
    """Payments of the requested day, each with its own customer and terminal."""
    return [Payment(2**63 - 1 - n, n, n, 1234 + n, START + n * 600) for n in range(count)]


def test_equal_features_compare_without_a_mismatch(live_settings: Settings, decisions: psycopg.Connection) -> None:
    payments = a_day()
    write_features(live_settings, payments)
    for n, p in enumerate(payments):
        record(decisions, p, n, by_definition(p, payments))
    # Of another day, which was not requested.
    record(decisions, Payment(1, 91, 91, 1, START - 1), 99, {})
    record(decisions, Payment(2, 92, 92, 1, START + DAY), 100, {})
    expected = {"compared": 12, "mismatches": 0, "missing": 0, "touched_by_late": 0, "degraded": 0, "repeated_ids": 0}
    assert compare_decisions(live_settings, TODAY) == expected


@pytest.mark.parametrize("name", FEATURES)
@pytest.mark.parametrize("wrong", [2e-9, 1.0, None, "absent"])
def test_any_feature_that_differs_is_a_reported_mismatch(
    live_settings: Settings,
    decisions: psycopg.Connection,
    capsys: pytest.CaptureFixture[str],
    name: str,
    wrong: float | str | None,
) -> None:
    payments = a_day(2)
    write_features(live_settings, payments)
    features: dict[str, Any] = by_definition(payments[0], payments)
    if wrong == "absent":
        del features[name]
    else:
        # For large values the tolerance grows with them: the amount is 12.34.
        features[name] = features[name] + wrong * max(1.0, features[name]) if isinstance(wrong, float) else None
    record(decisions, payments[0], 0, features)
    record(decisions, payments[1], 1, by_definition(payments[1], payments))
    found = compare_decisions(live_settings, TODAY)
    assert (found["compared"], found["mismatches"]) == (2, 1)
    assert capsys.readouterr().err.startswith(f"payment {payments[0].transaction_id}: {name} is ")


def test_within_the_tolerance_is_equal(live_settings: Settings, decisions: psycopg.Connection) -> None:
    payments = a_day(1)
    write_features(live_settings, payments)
    record(
        decisions, payments[0], 0, {name: value + 5e-10 for name, value in by_definition(payments[0], payments).items()}
    )
    assert compare_decisions(live_settings, TODAY)["mismatches"] == 0


def test_a_payment_on_only_one_side_is_missing(live_settings: Settings, decisions: psycopg.Connection) -> None:
    payments = a_day(6)
    write_features(live_settings, payments[:4])
    for n, p in enumerate(payments[2:]):
        record(decisions, p, n, by_definition(p, payments))
    found = compare_decisions(live_settings, TODAY)
    assert (found["compared"], found["missing"]) == (2, 4)


def test_late_and_degraded_payments_are_counted_separately(
    live_settings: Settings, decisions: psycopg.Connection
) -> None:
    """A payment from ten days earlier is applied after its customer's payment of the requested day was answered."""
    late = Payment(1, 0, 77, 500, START - 10 * DAY)
    payments = [*a_day(5), late]
    write_features(live_settings, payments)
    for n, p in enumerate(payments):
        record(
            decisions, p, n, {} if p.customer_id in (0, 1) else by_definition(p, payments), degraded=p.customer_id == 1
        )
    found = compare_decisions(live_settings, TODAY)
    counted = {"compared": 3, "mismatches": 0, "missing": 0, "touched_by_late": 1, "degraded": 1, "repeated_ids": 0}
    assert found == counted
    whole = compare_decisions(live_settings, DayRange(DAYS[0], DAYS[38]))
    assert sum(v for k, v in whole.items() if k != "mismatches") == len(payments)


def quarantine(settings: Settings, *repeats: Payment) -> None:
    """Write payments to the quarantine as repeats."""
    rows = []
    for row, p in enumerate(repeats):
        amount = f"{p.cents / 100:.2f}000"
        raw = RawRow(row, p.transaction_id, p.customer_id, p.terminal_id, amount, p.occurred, p.occurred).row()
        rows.append((p.day, {**raw, "reason": "transaction_id_repeated"}))
    write_table(settings.lake_root, "quarantine", rows)


def test_what_a_repeated_id_changes_is_counted_separately(
    live_settings: Settings, decisions: psycopg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    """Payment 7 of customer 50 is in the history; the scorer decides another one with its id, and one after it."""
    kept, scored = Payment(7, 50, 60, 500, START - 5 * DAY), Payment(7, 51, 61, 900, START + 100)
    after, other = Payment(8, 51, 62, 100, START + 200), Payment(9, 50, 62, 100, START + 300)
    lake = [kept, after, other, *a_day(2)]
    write_clean(live_settings.lake_root, lake)
    write_features(live_settings, lake)
    quarantine(live_settings, scored)
    for n, p in enumerate([scored, after, other, *a_day(2)]):
        record(decisions, p, n, by_definition(p, [*lake, scored]))
    found = compare_decisions(live_settings, TODAY)
    assert found == {
        "compared": 3, "mismatches": 0, "missing": 0, "touched_by_late": 0, "degraded": 0, "repeated_ids": 2
    }  # fmt: skip
    assert capsys.readouterr().err == ""
    # The one of the history has a decision, though on another day and row.
    history = compare_decisions(live_settings, DayRange(DAYS[33], DAYS[33]))
    assert (history["repeated_ids"], history["missing"]) == (1, 0)


def test_a_payment_that_the_lake_keeps_and_another_day_has_the_decision_of(
    live_settings: Settings, decisions: psycopg.Connection
) -> None:
    kept, scored = Payment(7, 50, 60, 500, START + 5), Payment(7, 51, 61, 900, START - 38 * DAY)
    write_clean(live_settings.lake_root, [kept])
    write_features(live_settings, [kept])
    quarantine(live_settings, scored)
    assert compare_decisions(live_settings, TODAY)["missing"] == 1
    record(decisions, scored, 1, {})
    found = compare_decisions(live_settings, TODAY)
    assert (found["missing"], found["repeated_ids"]) == (0, 1)
    # A decision of an id that is repeated, but that no row of the bank has, is missing as any other.
    record(decisions, Payment(10, 1, 1, 77, START + 9), 2, {})
    quarantine(live_settings, scored, Payment(10, 1, 1, 78, START - DAY))
    assert compare_decisions(live_settings, TODAY)["missing"] == 1


def test_payments_after_a_late_row_that_the_scorer_never_got_are_counted_separately(
    live_settings: Settings, decisions: psycopg.Connection
) -> None:
    late, after = Payment(7, 50, 60, 500, START - 3 * DAY), Payment(8, 50, 62, 100, START + 200)
    write_clean(live_settings.lake_root, [late, after])
    write_features(live_settings, [late, after])
    record(decisions, after, 1, by_definition(after, [after]))
    assert compare_decisions(live_settings, TODAY)["mismatches"] == 1, "its source says that it arrived in time"
    path = live_settings.lake_root / f"clean/day={late.day}/part.parquet"
    rows = pq.read_table(path, partitioning=None)
    arrived = pa.array([from_epoch_seconds(START + 9)], rows.schema.field("arrived_at").type)
    pq.write_table(rows.set_column(rows.schema.get_field_index("arrived_at"), "arrived_at", arrived), path)
    found = compare_decisions(live_settings, TODAY)
    assert (found["mismatches"], found["touched_by_late"], found["compared"]) == (0, 1, 0)


def test_two_empty_sides_match(live_settings: Settings, decisions: psycopg.Connection) -> None:
    assert set(compare_decisions(live_settings, TODAY).values()) == {0}


def test_a_missing_decision_log_is_named_with_its_address(live_settings: Settings) -> None:
    nowhere = live_settings.model_copy(update={"decisions_url": "postgresql://127.0.0.1:1/decisions"})
    said = r"cannot connect to postgresql://127.0.0.1:1/decisions as decisions_reader \(.*\): check DECISIONS_URL"
    with pytest.raises(JobError, match=said):
        compare_decisions(nowhere, TODAY)


def test_rows_are_counted_by_table_on_the_requested_days(settings: Settings) -> None:
    assert count_lake(settings, TODAY) == {"raw": 0, "clean": 0, "quarantine": 0, "features": 0}
    write_raw(settings.lake_root, [(DAYS[37], RawRow(1)), (DAYS[38], RawRow(2)), (DAYS[38], RawRow(3))])
    write_clean(settings.lake_root, a_day(5))
    assert count_lake(settings, TODAY) == {"raw": 2, "clean": 5, "quarantine": 0, "features": 0}
    assert np.sum(list(count_lake(settings, DayRange(DAYS[0], DAYS[39])).values())) == 8
