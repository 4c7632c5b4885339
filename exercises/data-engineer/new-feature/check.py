"""The new feature on the demo's own payments: offline over all, remembered, and online for the last day, one by one."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from valkey import Valkey

from exercises.expect import Description, expect

FEATURE = "customer_terminal_count_30d"
DAY = 86_400
OWN_DATABASE = 9
SMALL = [
    # transaction_id, customer_id, terminal_id, second, what its feature is
    (1, 5, 7, 10 * DAY, 1),
    (2, 5, 7, 20 * DAY, 2),
    (4, 5, 7, 40 * DAY, 3),
    (3, 5, 7, 40 * DAY, 2),
    (5, 5, 8, 40 * DAY, 1),
    (6, 6, 7, 40 * DAY, 1),
    (7, 5, 7, 50 * DAY, 3),
]
SMALL_AT_T = "seven payments, the fourth and the third at the same second"


@dataclass(frozen=True)
class Days:
    """The demo's payments: all, those before the last day, and the last day's rows in order."""

    all: DataFrame
    before: DataFrame
    last: list[Any]


@pytest.fixture(scope="session")
def days(spark: SparkSession) -> Days:
    """The bank's rows after ingest and validate."""
    folder = Path(os.environ["LAKE_URI"]) / "clean"
    names = sorted(path.name for path in folder.iterdir() if path.name.startswith("day="))
    clean = spark.read.parquet(*(str(folder / name) for name in names))
    payments = clean.select(
        "transaction_id", "customer_id", "terminal_id", F.unix_timestamp("occurred_at").alias("second")
    ).cache()
    midnight = payments.agg(F.max("second")).first()[0] // DAY * DAY
    last = payments.where(F.col("second") >= midnight).orderBy("second", "transaction_id").collect()
    return Days(payments, payments.where(F.col("second") < midnight), last)


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    """A separate database next to the scorer's."""
    password = (Path(os.environ["SECRETS_DIR"]) / "valkey_password").read_text().strip()
    with Valkey.from_url(os.environ["VALKEY_URL"], password=password, db=OWN_DATABASE) as client:
        client.flushdb()
        yield client


def features_of(call: str, found: Any, wanted: int) -> dict[int, int]:
    """What `offline` gave, by payment."""
    expect(
        call,
        Description(type(found).__name__),
        Description("DataFrame"),
        "return a Spark DataFrame",
        [(Description("NoneType"), "it returned None: return the DataFrame")],
        same=lambda *_: isinstance(found, DataFrame),
    )
    missing = {"transaction_id", FEATURE} - set(found.columns)
    expect(f"{call}: missing columns", sorted(missing), [], f"the columns transaction_id and {FEATURE} are required")
    rows = found.select("transaction_id", FEATURE).collect()
    expect(
        f"{call}: the number of rows",
        len(rows),
        wanted,
        "return one row per payment",
        [
            (lambda actual: actual > wanted, "a payment appears more than once: a join returns a row for each pair"),
            (lambda actual: actual < wanted, "payments are missing: does each one match at least itself?"),
        ],
    )
    return dict(rows)


def small(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame(
        [row[:4] for row in SMALL], "transaction_id long, customer_id long, terminal_id long, second long"
    )


def wrong_counts() -> list[tuple[dict[int, int], str]]:
    """What typical mistakes make of the small payments."""

    def count(counts: Any) -> dict[int, int]:
        return {one[0]: sum(counts(one, other) for other in SMALL) for one in SMALL}

    def alike(one: Any, other: Any) -> bool:
        return one[1:3] == other[1:3]

    def position(row: Any) -> tuple[int, int]:
        return row[3], row[0]

    def within(one: Any, other: Any) -> bool:
        return bool(other[3] > one[3] - 30 * DAY)

    return [
        (
            count(lambda a, b: alike(a, b) and abs(a[3] - b[3]) < 30 * DAY),
            "it counts the future: later payments are not known when a payment is scored",
        ),
        (
            count(lambda a, b: alike(a, b) and position(b) <= position(a) and b[3] >= a[3] - 30 * DAY),
            "exactly thirty days ago is outside the window: (t - 30 days, t] is open at its start",
        ),
        (
            count(lambda a, b: alike(a, b) and within(a, b) and b[3] <= a[3]),
            "within one second, the payment with the larger id comes later",
        ),
        (
            count(lambda a, b: alike(a, b) and within(a, b) and position(b) < position(a)),
            "the payment itself counts too",
        ),
        (
            count(lambda a, b: a[1] == b[1] and within(a, b) and position(b) <= position(a)),
            "only payments at the same terminal count",
        ),
        (
            count(lambda a, b: a[2] == b[2] and within(a, b) and position(b) <= position(a)),
            "only payments of the same customer count",
        ),
        (
            count(lambda a, b: alike(a, b) and position(b) <= position(a)),
            "payments older than thirty days must not count",
        ),
    ]


def test_offline_on_a_few(spark: SparkSession, answer: Any) -> None:
    call = f"offline({SMALL_AT_T})"
    found = features_of(call, answer.offline(small(spark)), len(SMALL))
    expect(call, found, {row[0]: row[4] for row in SMALL}, "work out each payment's window by hand", wrong_counts())


def test_online_on_a_few(valkey: Valkey, answer: Any) -> None:
    call = f"online, for {SMALL_AT_T}, one after another"
    found = {
        row[0]: answer.online(valkey, answer.Payment(*row[:4])) for row in sorted(SMALL, key=lambda r: (r[3], r[0]))
    }
    otherwise = "online must return what offline returns"
    expect(call, found, {row[0]: row[4] for row in SMALL}, otherwise, wrong_counts())
    for row in SMALL:
        again = answer.online(valkey, answer.Payment(*row[:4]))
        later = row[:1] == (3,)
        expect(
            f"online, for payment {row[0]} again, after all of them",
            again,
            row[4],
            "the same payment must get the same value again: a caller without an answer retries",
            [
                (
                    lambda actual, later=later: later and actual == 3,
                    "it counts a payment of the same second with a larger id, which had not arrived when this one was "
                    "first scored",
                ),
                (
                    row[4] + 1,
                    "the payment was counted twice: store payments by id, so that a repeated one replaces itself, and "
                    "count none that came after it",
                ),
                (
                    lambda actual, right=row[4]: isinstance(actual, int) and actual > right,
                    "it counts payments that came after it: count only those up to its own position",
                ),
            ],
        )


def test_remembered_and_online_agree_with_offline_on_the_demos_last_day(
    days: Days, valkey: Valkey, answer: Any
) -> None:
    offline = features_of("offline(all payments)", answer.offline(days.all), days.all.count())
    answer.remember(days.before, valkey)
    size = valkey.dbsize()
    expect(
        "the number of keys in Valkey after remember",
        size,
        Description("more than 0"),
        "nothing was stored",
        same=lambda actual, _: actual > 0,
    )
    # A rerun, as after a killed first run.
    answer.remember(days.before, valkey)
    for row in days.last:
        payment = answer.Payment(row.transaction_id, row.customer_id, row.terminal_id, row.second)
        expect(
            f"online(valkey, {payment}), after remember was run twice",
            answer.online(valkey, payment),
            offline[row.transaction_id],
            "online and offline disagree on this payment of the last day",
            [
                (
                    lambda actual, right=offline[row.transaction_id]: isinstance(actual, int) and actual > right,
                    "it counts too many: did the second run of remember count again, or payments older than thirty "
                    "days?",
                ),
                (
                    lambda actual, right=offline[row.transaction_id]: isinstance(actual, int) and actual < right,
                    "it counts too few: does remember store everything under the key that online reads?",
                ),
            ],
        )
    some = list(itertools.islice(days.last, 20))
    for row in some:
        payment = answer.Payment(row.transaction_id, row.customer_id, row.terminal_id, row.second)
        expect(
            f"online(valkey, {payment}), asked again",
            answer.online(valkey, payment),
            offline[row.transaction_id],
            "asked again, a payment gets the same",
        )
