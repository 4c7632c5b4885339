"""Checks of `read_day`: types, missing fields, values of another kind, and the pipeline's own schema and rules."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import LongType

from exercises.expect import Description, expect
from exercises.spark_answers import collected

NAMES = ("transaction_id", "customer_id", "terminal_id", "amount", "occurred_at", "arrived_at")
NOON = 1_709_294_400
Read = Callable[[list[str]], tuple[DataFrame, DataFrame]]
Asked = Callable[[str, Callable[[], Any]], Any]

NOTHING: dict[str, list[Any]] = {"too many": [], "missing": []}
INFERRED = (
    "The type of a column was inferred from the data: one bad row made the whole column text. Declare the type of "
    "every column; then no row can change it."
)
NULLED = (
    "A row with a missing field is among the payments, with a null in its place. A schema accepts nulls silently: "
    "check every column for null."
)
KIND = (
    "A value of the wrong type was turned into null, or into a number, and its row is among the payments. Reject the "
    "row: the column _corrupt_record of your schema shows which rows these are."
)
LOST = (
    "A line is missing from both outputs. Reject what is not a payment, do not drop it: every line must appear exactly "
    "once."
)
NOT_AS_IT_WAS = (
    "The right rows are rejected, but their lines were modified. Keep the original text next to the parsed values; it "
    "cannot be rebuilt from them."
)
WHOLE_DAY = "One bad line made Spark reject the whole day. Set the bad line aside, and read the others."


def line_of(number: int, **changes: object) -> str:
    """A landed payment as a JSON line; a field that is changed to `...` is left out."""
    row: dict[str, object] = {
        "transaction_id": number,
        "customer_id": 10 + number,
        "terminal_id": 20 + number,
        "amount": f"{number}.50",
        "occurred_at": NOON + number,
        "arrived_at": NOON + number + 2,
    }
    return json.dumps({name: value for name, value in (row | changes).items() if value is not ...})


@pytest.fixture
def asked(answer: Any) -> Asked:
    """Spark's rows for the learner's DataFrame."""
    return lambda call, ask: collected(call, ask, answer.path, {"MALFORMED": WHOLE_DAY})


@pytest.fixture
def read(answer: Any, asked: Asked, spark: SparkSession, tmp_path: Path) -> Read:
    """Calls `read_day` on lines that are written to a file, and sees that two DataFrames come."""

    def run(lines: list[str]) -> tuple[DataFrame, DataFrame]:
        path = tmp_path / "payments.jsonl"
        path.write_text("".join(f"{line}\n" for line in lines))
        actual = answer.read_day(spark, str(path))
        shape = Description("two DataFrames: the payments and the rejected lines")
        mistakes = [(lambda actual: actual is None, "It returned None. Is there a return?")]
        is_pair = (
            isinstance(actual, tuple | list) and len(actual) == 2 and all(isinstance(x, DataFrame) for x in actual)
        )
        otherwise = "Return `payments, rejected`, two DataFrames that are not collected yet."
        expect("read_day(spark, path)", actual, shape, otherwise, mistakes, same=lambda *_: is_pair)
        payments, refused = actual
        columns = asked("read_day(spark, path)[1].columns", lambda: refused.columns)
        expect(
            "read_day(spark, path)[1].columns", columns, ["line"], "The rejected lines must have one column, `line`."
        )
        return payments, refused

    return run


def sides(asked: Asked, call: str, lines: list[str], both: tuple[DataFrame, DataFrame]) -> dict[str, list[Any]]:
    """The ids of the payments and the rejected lines, sorted; an unmodified line is shown by its number."""
    told = {line: f"line {number}" for number, line in enumerate(lines, 1)}
    ids = asked(call, lambda: [row["transaction_id"] for row in both[0].select("transaction_id").collect()])
    refused = asked(call, lambda: [row["line"] for row in both[1].collect()])
    return {"payments": sorted(ids, key=str), "refused": sorted((told.get(line, line) for line in refused), key=str)}


def lost(lines: int) -> Callable[[Any], bool]:
    """Whether fewer rows came out than lines went in."""
    return lambda actual: len(actual["payments"]) + len(actual["refused"]) < lines


def passes(*numbers: int) -> Callable[[Any], bool]:
    """Whether one of these, which are to be refused, is among the payments; None stands for an id made null."""
    return lambda actual: any(number in actual["payments"] for number in (*numbers, None))


def test_types(read: Read, asked: Asked) -> None:
    """The columns and their types are those that were asked for, whatever is in the data."""
    payments, _ = read([line_of(1), line_of(2, customer_id="unknown"), line_of(3)])
    call = "read_day(spark, path)[0], where one of three lines has a customer_id 'unknown': names and types"
    actual = asked(call, lambda: dict(payments.dtypes))
    expected = {name: "string" if name == "amount" else "bigint" for name in NAMES}
    expect(
        call,
        actual,
        expected,
        "The payments must have these six columns, in any order, with these types (Spark shows LongType as bigint).",
        [
            (lambda actual: actual.get("customer_id") == "string", INFERRED),
            (
                lambda actual: actual.get("amount") not in (None, "string"),
                "The amount was converted to a number. It must stay text here: a double would round it, and a later "
                "step converts it.",
            ),
            (
                lambda actual: "_corrupt_record" in actual,
                "The helper column _corrupt_record is still in the payments.",
            ),
            (lambda actual: "int" in actual.values(), "An int has 32 bits, and an id may need 64: that is a LongType."),
            (lambda actual: "timestamp" in actual.values(), "Times are whole seconds since 1970, a LongType."),
        ],
    )


def test_missing_fields(read: Read, asked: Asked) -> None:
    """A field that is not there, or is null, refuses the row."""
    lines = [line_of(1), line_of(2, customer_id=...), line_of(3, amount=None), line_of(4, arrived_at=...), line_of(5)]
    call = "read_day of five lines; 2 has no customer_id, 3 the amount null, 4 no arrived_at"
    expect(
        call,
        sides(asked, call, lines, read(lines)),
        {"payments": [1, 5], "refused": ["line 2", "line 3", "line 4"]},
        "Reject the rows with a missing field, and only those, each with its unmodified line.",
        [
            (lost(5), LOST),
            (passes(2, 3, 4), NULLED),
            (lambda actual: actual["payments"] == [1, 5] and len(actual["refused"]) == 3, NOT_AS_IT_WAS),
        ],
    )


def test_other_kinds(read: Read, asked: Asked) -> None:
    """A value of another kind than the schema's refuses the row, and so does a line that is no JSON."""
    lines = [
        line_of(1),
        line_of(2, customer_id="7"),
        line_of(3, terminal_id=7.5),
        line_of(4, occurred_at="2024-03-01T12:00:00Z"),
        line_of(5)[:-9],
        line_of(6),
    ]
    call = 'read_day of six lines; 2 has customer_id "7", 3 terminal_id 7.5, 4 a date as text, 5 is cut off'
    expect(
        call,
        sides(asked, call, lines, read(lines)),
        {"payments": [1, 6], "refused": ["line 2", "line 3", "line 4", "line 5"]},
        "Reject the rows with a value of the wrong type, and only those, each with its unmodified line.",
        [
            (lost(6), LOST),
            (passes(2, 3, 4, 5), KIND),
            (lambda actual: actual["payments"] == [1, 6] and len(actual["refused"]) == 4, NOT_AS_IT_WAS),
        ],
    )


def test_lines_as_they_are(read: Read, asked: Asked) -> None:
    """The same line twice is two lines, blanks belong to a line, and what a value is worth is another's question."""
    odd = "  no JSON at all "
    lines = [line_of(1), line_of(1), odd, odd, line_of(2, customer_id=-1, amount="")]
    call = "read_day of five lines; 1 and 2 are the same, 3 and 4 the same text with blanks around it, 5 has odd values"
    expect(
        call,
        sides(asked, call, lines, read(lines)),
        {"payments": [1, 1, 2], "refused": ["line 4", "line 4"]},
        "Each line must appear once: as a payment if its fields are present and of the right type, else as unmodified "
        "text.",
        [
            (
                lambda actual: len(actual["payments"]) + len(actual["refused"]) < 5,
                "Identical lines were merged: set operations such as distinct or subtract drop duplicates.",
            ),
            (
                lambda actual: 2 not in actual["payments"],
                "A row was rejected because of its values. Here, reject only missing values and wrong types; the rules "
                "come later.",
            ),
            (lambda actual: len(actual["refused"]) == 2, NOT_AS_IT_WAS),
        ],
    )


def test_agrees_with_production(read: Read, asked: Asked, spark: SparkSession) -> None:
    """On 400 lines: the types of the pipeline's table `raw`, and its rules on what must be there."""
    from spark_jobs.lake.schemas import RAW, with_day
    from spark_jobs.quarantine_reasons import reason

    lines = many_lines()
    rows = [(line, of_kind(line, RAW)) for line in lines]
    raw = with_day(RAW)
    typed = [tuple((row | {"source_row": n}).get(name) for name in raw.names) for n, (_, row) in enumerate(rows) if row]
    judged = spark.createDataFrame(typed, raw).select("source_row", reason().alias("reason")).collect()
    good = {row["source_row"] for row in judged if row["reason"] is None}
    expected = sorted(tuple(rows[n][1][name] for name in NAMES) for n in good)

    payments, refused = read(lines)
    types = {field.name: field.dataType.simpleString() for field in RAW.fields if field.name in NAMES}
    call = "read_day of 400 lines"
    expect(call + ": types", asked(call, lambda: dict(payments.dtypes)), types, "See spark_jobs/lake/schemas.py.")
    actual = asked(call, lambda: sorted(map(tuple, payments.select(*NAMES).collect()), key=str))
    expect(call, differing(actual, expected), NOTHING, "The payments differ from those that the pipeline keeps.")
    left = sorted(line for n, (line, _) in enumerate(rows) if n not in good)
    said = asked(call, lambda: sorted((row["line"] for row in refused.collect()), key=str))
    expect(call, differing(said, left), NOTHING, "The rejected lines differ from those that the pipeline rejects.")


def differing(actual: list[Any], expected: list[Any]) -> dict[str, list[Any]]:
    """The first three elements in one list but not in the other, each way."""
    more, less = Counter(actual) - Counter(expected), Counter(expected) - Counter(actual)
    return {"too many": sorted(more.elements(), key=str)[:3], "missing": sorted(less.elements(), key=str)[:3]}


def many_lines() -> list[str]:
    """400 lines; every third has a fault."""
    chance = random.Random(20240301)
    other: dict[str, list[object]] = {"id": ["12", 1.5, True, [3], {"n": 1}, 2**63, "x"], "amount": [None]}
    lines = []
    for number in range(400):
        name = chance.choice(NAMES)
        fault = {name: chance.choice([..., None, *other["amount" if name == "amount" else "id"]])}
        line = line_of(number, **(fault if number % 3 == 0 else {}))
        lines.append(line[: -chance.randrange(1, 40)] if number % 31 == 1 else line)
    return lines


def of_kind(line: str, schema: Any) -> dict[str, Any]:
    """The row in a line whose values are of the schema's types, empty where one is not; what is missing is None."""
    try:
        row = json.loads(line)
    except ValueError:
        return {}
    for name in NAMES:
        value = row.get(name)
        is_long = schema[name].dataType == LongType()
        fits = type(value) is int and abs(value) < 2**63 if is_long else type(value) is str
        if value is not None and not fits:
            return {}
    return {name: row.get(name) for name in NAMES}
