"""The rules in Spark SQL, compared with `contracts.transaction.Transaction`."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError
from pyspark.sql import SparkSession

from contracts.labels import DAY
from contracts.transaction import EPOCH, MAX_CLOCK_SKEW, MAX_ID, Transaction, from_epoch_seconds
from spark_jobs.io.bank_source import FOREVER
from spark_jobs.lake.schemas import TABLES, with_day
from spark_jobs.lake.timestamps import LAST_SECOND
from spark_jobs.quarantine_reasons import cents, reason, rules

NOON = 1_709_294_400
IDS = [None, -(2**63), -1, 0, 1, 7, 2**62, MAX_ID]
AMOUNTS = [
    *(
        None,
        "NaN",
        "Infinity",
        "-Infinity",
        "0",
        "0.0",
        "0.00",
        "0.01",
        "0.1",
        "0.001",
        "0.009",
        "-0.00",
        "-0",
        "-0.001",
    ),
    *(
        "-0.01",
        "-1",
        "-999999999999",
        "12",
        "12.5",
        "12.50",
        "12.500",
        "12.5000000000",
        "12.501",
        "12.5000000001",
        "007.10",
    ),
    *("999999.99", "999999.999", "1000000", "1000000.0", "1000000.00", "1000000.000", "1000000.001", "1000000.01"),
    *("1000000.0000000001", "1000001", "10000000", "99999999999999999999999999", "1" + "0" * 60, "9" * 40 + ".99"),
]
SECONDS = [None, -FOREVER, -62_135_596_800, -1, 0, 1, NOON, LAST_SECOND, LAST_SECOND + 1, 9_224_318_015_999, FOREVER]
Values = tuple[Any, Any, Any, Any, Any]
"""Three ids, the amount's text, the second at which it occurred; each may be None."""


def combinations() -> list[Values]:
    """Each value of each field with otherwise valid fields, then many mixtures."""
    valid: Values = (1, 2, 3, "4.50", NOON)
    rows = [valid]
    choices: list[list[Any]] = [IDS, IDS, IDS, AMOUNTS, SECONDS]
    for place, values in enumerate(choices):
        rows += [(*valid[:place], value, *valid[place + 1 :]) for value in values]
    chance = random.Random(20240301)
    amounts = AMOUNTS + [f"{chance.uniform(-5, 1_000_005):.{chance.randrange(5)}f}" for _ in range(300)]
    for _ in range(500):
        customer, terminal, payment = chance.choices(IDS, k=3)
        rows.append((payment, customer, terminal, chance.choice(amounts), chance.choice(SECONDS)))
    return rows + [(1, 2, 3, amount, NOON) for amount in amounts]


def refused_fields(values: Values) -> set[str]:
    """The fields whose values the contract rejects; empty if it accepts all."""
    ids, amount, second = values[:3], values[3], values[4]
    body: dict[str, object] = dict(zip(("transaction_id", "customer_id", "terminal_id"), ids, strict=True))
    body["amount"] = None if amount is None else Decimal(amount)
    body["occurred_at"] = None
    if second is not None:
        # The contract cannot accept times beyond datetime's years.
        body["occurred_at"] = from_epoch_seconds(second) if -62_135_596_800 <= second <= LAST_SECOND else "out of range"
    try:
        Transaction.model_validate(body)
    except ValidationError as error:
        return {str(one["loc"][0]) for one in error.errors()}
    return set()


def judge(spark: SparkSession, rows: list[Values], skew: int = 0) -> list[tuple[str | None, int | None]]:
    """Each row's reason and cents; it arrives `skew` seconds after it occurred, or at the end of time."""
    judged = []
    for number, (*fields, second) in enumerate(rows):
        fits = second is not None and 0 <= second <= LAST_SECOND
        arrived = second + skew if second is not None and fits else NOON
        day = (EPOCH + timedelta(days=(second or 0) // DAY)).date() if fits else EPOCH.date()
        judged.append(("source", number, *fields, second, False, arrived, day))
    frame = spark.createDataFrame(judged, with_day(TABLES["raw"]))
    found = frame.select("source_row", reason().alias("reason"), cents(reason()).alias("cents")).collect()
    return [(row["reason"], row["cents"]) for row in sorted(found, key=lambda row: row["source_row"])]


def test_validation_agrees_with_the_contract(spark: SparkSession) -> None:
    rows = combinations()
    for values, (why, _) in zip(rows, judge(spark, rows), strict=True):
        refused = refused_fields(values)
        assert (why is None) == (not refused), (values, why, refused)
        # The reason begins with a field that the contract rejects too.
        assert why is None or any(why.startswith(field) for field in refused), (values, why, refused)


def test_cents_equal_the_contract_s(spark: SparkSession) -> None:
    rows = [(1, 2, 3, amount, NOON) for *_, amount, _ in combinations()]
    for values, (why, found) in zip(rows, judge(spark, rows), strict=True):
        assert why is not None or found == int(Decimal(values[3] or "") * 100)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ((None, 2, 3, "4.50", NOON), "transaction_id_missing"),
        ((-1, 2, 3, "4.50", NOON), "transaction_id_negative"),
        ((1, None, 3, "4.50", NOON), "customer_id_missing"),
        ((1, 2, -3, "4.50", NOON), "terminal_id_negative"),
        ((1, 2, 3, None, NOON), "amount_missing"),
        ((1, 2, 3, "NaN", NOON), "amount_not_a_number"),
        ((1, 2, 3, "-0.01", NOON), "amount_negative"),
        ((1, 2, 3, "1000000.01", NOON), "amount_above_maximum"),
        ((1, 2, 3, "4.501", NOON), "amount_not_two_decimals"),
        ((1, 2, 3, "4.50", None), "occurred_at_missing"),
        ((1, 2, 3, "4.50", -1), "occurred_at_before_1970"),
        ((1, 2, 3, "4.50", FOREVER), "occurred_at_after_9999"),
    ],
)
def test_each_reason_says_what_is_wrong(spark: SparkSession, change: Values, code: str) -> None:
    assert judge(spark, [change])[0][0] == code


def test_a_payment_may_be_at_most_five_minutes_ahead_of_its_arrival(spark: SparkSession) -> None:
    skew = int(MAX_CLOCK_SKEW.total_seconds())
    valid: Values = (1, 2, 3, "4.50", NOON)
    assert judge(spark, [valid], -skew)[0][0] is None
    assert judge(spark, [valid], -skew - 1)[0][0] == "occurred_after_arrival"


def test_the_bank_s_day_decides_whether_a_payment_is_too_far_ahead(spark: SparkSession) -> None:
    """With fractions of a second it is more than five minutes ahead, so the bank stores it under its arrival day."""
    midnight = NOON // DAY * DAY
    yesterday = from_epoch_seconds(midnight - 1).date()
    row = ("source", 1, 1, 2, 3, "4.50", midnight, True, midnight - 300, yesterday)
    frame = spark.createDataFrame([row], with_day(TABLES["raw"]))
    assert frame.select(reason().alias("reason")).collect()[0]["reason"] == "occurred_after_arrival"


def test_codes_are_unique(spark: SparkSession) -> None:
    codes = [code for code, _ in rules()]
    assert len(codes) == len(set(codes))
