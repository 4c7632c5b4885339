"""Checks of `count_week`: the window's two ends, payments of the same second, customers, and the pipeline's kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from exercises.expect import Description, expect
from exercises.spark_answers import collected

NOON = 1_709_294_400
DAY = 86_400
NAME = "customer_tx_count_7d"
Payment = tuple[int, int, int]
"""Its id, its customer, and when it occurred, in seconds."""
Count = Callable[[str, list[Payment]], dict[int, Any]]

FUTURE = (
    "Later payments were counted. They have not happened when this payment does: a model trained on them knows the "
    "future, and performs worse than its test suggests."
)
NOT_ITSELF = "The payment itself was not counted: the window is (t - 7 days, t], and t belongs to it."
ROWS = (
    "Payments older than seven days still count. A window over a number of rows, or from the first row, ignores time: "
    "payments must leave it after seven days."
)
UNIT = "Only the last few seconds count: occurred_at is in seconds, and so is the range. A day is 86,400 seconds."
CLOSED = (
    "A payment exactly seven days before was counted. The window (t - 7 days, t] is open there: seven days is outside, "
    "one second less is inside. A range in Spark includes both its ends."
)
PEERS = (
    "All payments of the same second see each other. A payment's position is (occurred_at, transaction_id): within one "
    "second it sees those with a smaller id only. A range includes all rows with an equal order value."
)
NO_PEERS = "Payments of the same second do not see each other. A smaller transaction_id comes first."
READ_ORDER = "Payments of the same second were counted in the order in which they were read. Order them by id."
TOGETHER = "Payments of other customers were counted: the window must be one customer's."


@pytest.fixture
def count(answer: Any, spark: SparkSession) -> Count:
    """Calls `count_week` on payments and collects the counts by id."""

    def run(call: str, payments: list[Payment]) -> dict[int, Any]:
        schema = "transaction_id long, customer_id long, occurred_at long"
        actual = answer.count_week(spark.createDataFrame(payments, schema))
        otherwise = "Return the payments as a DataFrame, with one more column."
        mistakes = [(lambda actual: actual is None, "It returned None. Is there a return?")]
        is_frame = isinstance(actual, DataFrame)
        expect(call, actual, Description("a DataFrame"), otherwise, mistakes, same=lambda *_: is_frame)
        columns = Description(f"columns {sorted(actual.columns)}")
        wanted = Description(f"columns {sorted(['transaction_id', 'customer_id', 'occurred_at', NAME])}")
        there = columns == wanted
        expect(call, columns, wanted, f"Keep the payments' columns, and add {NAME}.", same=lambda *_: there)
        rows = collected(call, actual.select("transaction_id", "customer_id", "occurred_at", NAME).collect, answer.path)
        ids = sorted((row["transaction_id"] for row in rows), key=str)
        wanted_ids = sorted((one[0] for one in payments), key=str)
        otherwise = "Return every payment once: rows were lost, or a join duplicated them."
        expect(f"{call}: the ids", ids, wanted_ids, otherwise)
        kept = sorted((row["transaction_id"], row["customer_id"], row["occurred_at"]) for row in rows)
        expect(f"{call}: the payments themselves", kept, sorted(payments), "The payments' own columns must not change.")
        return {row["transaction_id"]: row[NAME] for row in sorted(rows, key=lambda row: row["transaction_id"])}

    return run


def test_last_seven_days(count: Count) -> None:
    """What is older has left the window, and what is later has not come."""
    call = "count_week of one customer's payments 1 on day 0, 2 on day 6, 3 and 4 on day 8 (an hour apart)"
    payments = [(1, 5, NOON), (2, 5, NOON + 6 * DAY), (3, 5, NOON + 8 * DAY), (4, 5, NOON + 8 * DAY + 3600)]
    expect(
        call,
        count(call, payments),
        {1: 1, 2: 2, 3: 2, 4: 3},
        "Payment 1 is older than seven days when 3 and 4 happen; each payment counts itself, and no later one.",
        [
            ({1: 0, 2: 1, 3: 1, 4: 2}, NOT_ITSELF),
            ({1: 1, 2: 2, 3: 3, 4: 4}, ROWS),
            ({1: 1, 2: 1, 3: 1, 4: 1}, UNIT),
            (lambda actual: actual[1] is not None and actual[1] > 1, FUTURE),
        ],
    )


def test_open_end(count: Count) -> None:
    """A payment exactly seven days before is outside."""
    call = "count_week of one customer's payments 1 at t, 2 at t + 7 days - 1 second, 3 at t + 7 days"
    payments = [(1, 5, NOON), (2, 5, NOON + 7 * DAY - 1), (3, 5, NOON + 7 * DAY)]
    expect(
        call,
        count(call, payments),
        {1: 1, 2: 2, 3: 2},
        "Payment 2 still sees payment 1, and payment 3 does not.",
        [({1: 1, 2: 2, 3: 3}, CLOSED), ({1: 1, 2: 1, 3: 2}, "The window is a second too short: payment 2 sees 1.")],
    )


def test_same_second(count: Count) -> None:
    """Of one second, the ids tell which came before."""
    call = "count_week of one customer's payments 9, 5 and 7, all of the same second, and 6 seven days later"
    payments = [(9, 5, NOON), (5, 5, NOON), (7, 5, NOON), (6, 5, NOON + 7 * DAY)]
    expect(
        call,
        count(call, payments),
        {5: 1, 6: 1, 7: 2, 9: 3},
        "The order is 5, 7, 9; when 6 happens, all three are exactly seven days old and outside the window.",
        [
            (lambda actual: [actual[n] for n in (5, 7, 9)] == [3, 3, 3], PEERS),
            (lambda actual: [actual[n] for n in (5, 7, 9)] == [1, 1, 1], NO_PEERS),
            ({5: 2, 6: 1, 7: 3, 9: 1}, READ_ORDER),
            ({5: 1, 6: 4, 7: 2, 9: 3}, CLOSED),
            (
                {5: 1, 6: -2, 7: 2, 9: 3},
                "Payments that left the window were subtracted twice: the count of payment 6 is below zero.",
            ),
        ],
    )


def test_customers(count: Count) -> None:
    """Each customer has a separate history, in whatever order the rows are read."""
    call = "count_week of payments 3 and 1 of customer 5 and 4 and 2 of customer 6, each an hour after the one before"
    payments = [(number, 5 if number % 2 else 6, NOON + number * 3600) for number in (3, 4, 1, 2)]
    expect(
        call,
        count(call, payments),
        {1: 1, 2: 1, 3: 2, 4: 2},
        "These are the first and the second payment of each customer.",
        [({1: 1, 2: 2, 3: 3, 4: 4}, TOGETHER), (lambda actual: actual[1] is not None and actual[1] > 1, FUTURE)],
    )


def test_agrees_with_production(count: Count) -> None:
    """On 1,500 payments of 20 customers, many of the same second or exactly seven days apart: the pipeline's kernel."""
    from contracts.features import customer_features

    chance = np.random.default_rng(20240301)
    ids = chance.permutation(1_500) + 1
    customers = chance.integers(1, 21, 1_500)
    occurred = NOON + chance.integers(0, 120, 1_500) * (DAY // 4) + chance.choice([0, 0, 0, 1, 3599], 1_500)
    order = np.lexsort((ids, occurred, customers))
    kernel = customer_features(
        customers[order], occurred[order], np.full(1_500, 100, dtype=np.int64), np.arange(1_500, dtype=np.int64)
    )
    expected = dict(zip(ids[order].tolist(), kernel[NAME].tolist(), strict=True))
    call = "count_week of 1,500 payments"
    rows = zip(ids.tolist(), customers.tolist(), occurred.tolist(), strict=True)
    actual = count(call, list(rows))
    wrong = [number for number in sorted(expected) if actual[number] != expected[number]][:5]
    expect(
        f"{call}: those that differ, at most five",
        {number: actual[number] for number in wrong},
        {number: int(expected[number]) for number in wrong},
        "The pipeline's counts differ. Check both ends of the window, and payments of the same second.",
    )
