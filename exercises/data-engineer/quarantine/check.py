"""Checks of `split`: nulls, two faults, repeats, and the pipeline's own rules on the same rows."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from exercises.expect import Description, expect
from exercises.spark_answers import collected
from spark_jobs.lake.schemas import RAW

NOON = 1_709_294_400
DAY = 86_400
Sides = dict[str, list[Any]]
Split = Callable[[str, DataFrame], Sides]

NOTHING: dict[str, list[Any]] = {"too many": [], "missing": []}
DROPPED = (
    "A row is in neither table. In SQL a condition on a missing value is null, not false; so is its negation, and a "
    "filter keeps only rows where it is true. Decide what null means before you filter."
)
NULL_IS_CLEAN = (
    "A row with a missing value is among the clean ones. Its condition is null, neither true nor false, so a test for "
    "false does not find it. Decide what null means before you test."
)
TWICE = "A row is in the quarantine once per broken rule. It must be there once, with the first reason."
REPEATED_NOTHING = "Rows without a transaction_id were taken for repeats of each other: their reason is the missing id."
LATER_REASON = "The reason is not the first broken rule. The rules are ordered: give the first that does not hold."


def row(number: int, **changes: object) -> dict[str, object]:
    """A good row of `raw`, that arrived two seconds after it occurred, unless told otherwise."""
    good: dict[str, object] = {"source": "a", "source_row": number, "transaction_id": 100 + number, "customer_id": 1}
    good |= {"terminal_id": 2, "amount": "12.50", "occurred_at": NOON, "occurred_micros": False, "arrived_at": NOON + 2}
    return good | changes


@pytest.fixture
def frame(spark: SparkSession) -> Callable[..., DataFrame]:
    """Makes a DataFrame of rows."""
    # For a few rows, starting tasks and compiling a query take longer than the query.
    spark.conf.set("spark.sql.shuffle.partitions", "1")
    spark.conf.set("spark.sql.codegen.wholeStage", "false")
    return lambda *rows: spark.createDataFrame([tuple(one[name] for name in RAW.names) for one in rows], RAW)


@pytest.fixture
def split(answer: Any) -> Split:
    """Calls `split` and collects both sides: the clean rows' numbers (source_row), the others' with their reasons."""

    def run(call: str, raw: DataFrame) -> Sides:
        actual = answer.split(raw)
        is_pair = (
            isinstance(actual, tuple | list) and len(actual) == 2 and all(isinstance(x, DataFrame) for x in actual)
        )
        mistakes = [(lambda actual: actual is None, "It returned None. Is there a return?")]
        otherwise = "Return `clean, quarantine`, two DataFrames that are not collected yet."
        expect(call, actual, Description("two DataFrames"), otherwise, mistakes, same=lambda *_: is_pair)
        clean, quarantine = actual
        columns = [sorted(clean.columns), sorted(quarantine.columns)]
        expect(
            f"{call}: the columns of both sides",
            columns,
            [sorted(raw.columns), sorted([*raw.columns, "reason"])],
            "The clean rows must have exactly the columns of raw; the quarantine also has `reason`.",
        )
        kinds = [sorted(side.drop("reason").dtypes) for side in (clean, quarantine)]
        changed = "A column has another type: rows must not be modified."
        expect(f"{call}: the columns' types on both sides", kinds, [sorted(raw.dtypes)] * 2, changed)
        # Both at once: each question to Spark costs a while.
        good = clean.select(*raw.columns, F.lit(None).cast("string").alias("reason"), F.lit(True).alias("good"))
        aside = quarantine.select(*raw.columns, "reason", F.lit(False))
        rows = collected(call, good.union(aside).collect, answer.path)
        came_back = {tuple(row[: len(raw.columns)]) for row in rows}
        expect(
            f"{call}: rows that did not go in",
            sorted(came_back - {tuple(row) for row in raw.collect()}, key=str)[:3],
            [],
            "A row has another value: a quarantine must keep rows unmodified, so that people can see what was wrong.",
        )
        kept = sorted(one["source_row"] for one in rows if one["good"])
        aside = sorted(((one["source_row"], one["reason"]) for one in rows if not one["good"]), key=str)
        return {"clean": kept, "quarantine": aside}

    return run


def numbers(actual: Sides) -> Counter[int]:
    """How often each row came out, on either side."""
    return Counter([*actual["clean"], *(number for number, _ in actual["quarantine"])])


def lost(rows: int) -> Callable[[Sides], bool]:
    """Whether some of the rows 1 to `rows` are on neither side."""
    return lambda actual: len(numbers(actual)) < rows


def twice(actual: Sides) -> bool:
    """Whether a row came out more than once."""
    return any(count > 1 for count in numbers(actual).values())


def test_one_fault(split: Split, frame: Callable[..., DataFrame]) -> None:
    """Rows that break a rule are set apart, and the others are clean."""
    call = "split: row 1 is good, 2 has the customer_id -5, 3 the amount 2000000.00, 4 occurred before 1970"
    raw = frame(row(1), row(2, customer_id=-5), row(3, amount="2000000.00"), row(4, occurred_at=-1))
    expected = {"clean": [1], "quarantine": [(2, "customer_id"), (3, "amount"), (4, "occurred_at")]}
    sides = "The tables are swapped: the rules describe a valid payment."
    swapped = [(lambda actual: actual["clean"] == [2, 3, 4], sides)]
    otherwise = "A row is clean if every rule holds; otherwise it goes to the quarantine with the name of the field."
    expect(call, split(call, raw), expected, otherwise, [*swapped, (lost(4), DROPPED), (twice, TWICE)])


def test_missing_values(split: Split, frame: Callable[..., DataFrame]) -> None:
    """What is missing, or no number, makes a condition null: the row belongs in the quarantine."""
    call = "split: row 1 is good, 2 has no customer_id, 3 no amount, 4 the amount 'abc', 5 no transaction_id"
    raw = frame(
        row(1), row(2, customer_id=None), row(3, amount=None), row(4, amount="abc"), row(5, transaction_id=None)
    )
    expected = {"clean": [1], "quarantine": [(2, "customer_id"), (3, "amount"), (4, "amount"), (5, "transaction_id")]}
    in_clean = (lambda actual: any(number in actual["clean"] for number in (2, 3, 4, 5)), NULL_IS_CLEAN)
    no_reason = (
        lambda actual: any(reason is None for _, reason in actual["quarantine"]),
        "A row is in the quarantine without a reason: its condition is null, so no rule counted as broken.",
    )
    otherwise = "A missing value breaks the rule of its field; the reason is the field's name."
    expect(call, split(call, raw), expected, otherwise, [(lost(5), DROPPED), (twice, TWICE), in_clean, no_reason])


def test_two_faults(split: Split, frame: Callable[..., DataFrame]) -> None:
    """A row with two faults is one row, with the first of its reasons."""
    call = "split: row 1 has the terminal_id -1 and no amount, 2 no customer_id and no terminal_id, 3 is good"
    raw = frame(row(1, terminal_id=-1, amount=None), row(2, customer_id=None, terminal_id=None), row(3))
    expected = {"clean": [3], "quarantine": [(1, "terminal_id"), (2, "customer_id")]}
    otherwise = "Each row must appear once; invalid ones with the first field in the order of the rules."
    later = (lambda actual: [number for number, _ in actual["quarantine"]] == [1, 2], LATER_REASON)
    expect(call, split(call, raw), expected, otherwise, [(lost(3), DROPPED), (twice, TWICE), later])


def test_repeats(split: Split, frame: Callable[..., DataFrame]) -> None:
    """Of several good rows with one id the first to arrive is clean; the others are set apart, not lost."""
    call = (
        "split: rows 1, 2, 3 have the transaction_id 7; 1 arrived at 12:00:09, 2 and 3 at 12:00:05; "
        "rows 4 and 5 have no transaction_id"
    )
    later, sooner = {"transaction_id": 7, "arrived_at": NOON + 9}, {"transaction_id": 7, "arrived_at": NOON + 5}
    without = {"transaction_id": None}
    raw = frame(row(1, **later), row(3, **sooner), row(2, **sooner), row(4, **without), row(5, **without))
    repeated = "transaction_id_repeated"
    missing = [(4, "transaction_id"), (5, "transaction_id")]
    expected = {"clean": [2], "quarantine": [(1, repeated), (3, repeated), *missing]}
    mistakes = [
        (
            lambda actual: set(actual["clean"]) >= {1, 2, 3},
            "All rows with the same transaction_id are clean: the payment would be counted three times.",
        ),
        (
            lambda actual: not {1, 2, 3} <= set(numbers(actual)),
            "Repeats are lost: dropDuplicates drops rows, and keeps an arbitrary one. Number the rows of each id "
            "instead, and give those after the first a reason.",
        ),
        (
            lambda actual: not {1, 2, 3} & set(actual["clean"]) and not twice(actual),
            "Every row of a repeated id is in the quarantine, even the first: the payment itself is lost.",
        ),
        (lambda actual: any(n in (4, 5) and why == repeated for n, why in actual["quarantine"]), REPEATED_NOTHING),
        (twice, "A row is in both tables, or twice in one: each row must appear once."),
        (
            lambda actual: actual["clean"] in ([1], [3]),
            "The wrong row was kept. The first is the one with the smallest (arrived_at, source, source_row), in "
            "whatever order the rows are read.",
        ),
        (lost(5), DROPPED),
    ]
    otherwise = "Of the valid rows with the same transaction_id, the first to arrive is clean; the others are repeats."
    expect(call, split(call, raw), expected, otherwise, mistakes)


def test_repeat_of_a_bad_row(split: Split, frame: Callable[..., DataFrame]) -> None:
    """A row that breaks a rule takes no id from a good one that comes after it."""
    call = "split: rows 1 and 2 have the transaction_id 7; 1 arrived first and has the amount 'abc', 2 is good"
    raw = frame(row(1, transaction_id=7, amount="abc"), row(2, transaction_id=7, arrived_at=NOON + 60))
    expected = {"clean": [2], "quarantine": [(1, "amount")]}
    mistake = (
        "The valid row was taken for a repeat of the invalid one, so the payment is lost. Apply the rules first, then "
        "look for repeats among the valid rows."
    )
    mistakes = [(lambda actual: (2, "transaction_id_repeated") in actual["quarantine"], mistake), (lost(2), DROPPED)]
    otherwise = "Row 1 breaks a rule, so row 2 is the first valid one with this id."
    expect(call, split(call, raw), expected, otherwise, mistakes)


def test_agrees_with_production(split: Split, spark: SparkSession, tmp_path: Path) -> None:
    """On 600 rows of three days: what the job `validate` would decide, rules and repeats."""
    from contracts.transaction import EPOCH, TRANSACTION_FIELDS
    from spark_jobs.lake.layout import Lake, read_days
    from spark_jobs.lake.schemas import arrow_schema
    from spark_jobs.quarantine_reasons import REPEATED, reason
    from spark_jobs.repeated_ids import mark_repeats

    lake, days = Lake(tmp_path), [(EPOCH + timedelta(seconds=NOON + n * DAY)).date() for n in range(3)]
    for n, day in enumerate(days):
        path = lake.file("raw", day)
        path.parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(many_rows(n), schema=arrow_schema(RAW)), path)
    landed = read_days(spark, lake, "raw", days)
    judged = mark_repeats(spark, lake, landed.withColumn("reason", reason()), days, 600).collect()

    def told(code: str) -> str:
        """The exercise gives only the field."""
        return (
            code if code == REPEATED else next(spec.name for spec in TRANSACTION_FIELDS if code.startswith(spec.name))
        )

    call = "split(600 rows)"
    actual = split(call, landed.drop("day"))
    kept = sorted(one["source_row"] for one in judged if one["reason"] is None)
    aside = [(one["source_row"], told(one["reason"])) for one in judged if one["reason"] is not None]
    total = len(actual["clean"]) + len(actual["quarantine"])
    expect(f"{call}: clean + quarantine", total, 600, "Rows in do not equal rows out: some are lost or duplicated.")
    otherwise = "The job `validate` decides differently on the same rows."
    expect(f"{call}: clean", differing(actual["clean"], kept), NOTHING, otherwise)
    expect(f"{call}: quarantine", differing(actual["quarantine"], aside), NOTHING, otherwise)


def differing(actual: list[Any], expected: list[Any]) -> dict[str, list[Any]]:
    """The first three elements in one list but not in the other, each way."""
    more, less = Counter(actual) - Counter(expected), Counter(expected) - Counter(actual)
    return {"too many": sorted(more.elements(), key=str)[:3], "missing": sorted(less.elements(), key=str)[:3]}


def many_rows(day: int) -> list[dict[str, object]]:
    """200 rows of a day; a third have one fault or two, and a third have an id that others have, on any day."""
    chance = random.Random(20240301 + day)
    faults: dict[str, list[object]] = {
        name: [None, -1, -7] for name in ("transaction_id", "customer_id", "terminal_id")
    }
    faults |= {"amount": [None, "abc", "-0.01", "1000000.01"], "occurred_at": [None, -1]}
    rows = []
    for n in range(200):
        second = NOON + day * DAY + chance.randrange(-40_000, 40_000)
        changes: dict[str, object] = {"source": chance.choice("ab"), "occurred_at": second}
        changes["arrived_at"] = second + chance.randrange(30)
        changes["transaction_id"] = 1000 * day + 100 + n
        if n % 3 == 0:
            # Many of these arrive in the same second, so that the rows' keys decide.
            changes |= {"transaction_id": chance.randrange(40), "arrived_at": NOON + day * DAY + chance.randrange(2)}
            changes |= {"occurred_at": NOON + day * DAY}
        if chance.random() < 1 / 3:
            changes |= {name: chance.choice(faults[name]) for name in chance.choices(list(faults), k=2)}
        rows.append(row(day * 200 + n, **changes))
    return rows
