"""The contract of a payment as Spark SQL: the rules for landed rows and their quarantine reasons, in order.

All bounds come from `contracts.transaction`; a test compares the rules with `Transaction` itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from pyspark.sql import Column
from pyspark.sql import functions as F

from contracts.labels import DAY
from contracts.transaction import MAX_AMOUNT, MAX_CLOCK_SKEW, TRANSACTION_FIELDS
from spark_jobs.lake.timestamps import LAST_SECOND

REPEATED: Final = "transaction_id_repeated"

_SKEW: Final = MAX_CLOCK_SKEW // timedelta(seconds=1)
_DECIMAL: Final = r"^-?[0-9]+(\.[0-9]*)?$"
_BELOW_ZERO: Final = r"^-.*[1-9]"
_FINER_THAN_CENTS: Final = r"\.[0-9]{2}[0-9]*[1-9]"


def reason() -> Column:
    """The reason of the first rule that a row of `raw` breaks; null for a valid row."""
    broken = [F.when(condition, F.lit(code)) for code, condition in rules()]
    return F.coalesce(*broken)


def rules() -> Iterator[tuple[str, Column]]:
    """Each reason with its condition on the columns of `raw`; a null condition counts as false."""
    for spec in TRANSACTION_FIELDS:
        yield f"{spec.name}_missing", F.col(spec.name).isNull()
        yield from {"id": _id_rules, "amount": _amount_rules, "instant": _instant_rules}[spec.kind](spec.name)
    arrived, occurred = F.col("arrived_at"), F.col("occurred_at")
    yield "arrived_at_out_of_range", arrived.isNull() | (arrived < 0) | (arrived > LAST_SECOND)
    # The bank files a row dated after its arrival under the day it arrived, which also reveals fractions of a second.
    elsewhere = F.col("day") != F.date_add(F.lit("1970-01-01").cast("date"), F.floor(occurred / DAY).cast("int"))
    yield "occurred_after_arrival", (occurred - _SKEW > arrived) | elsewhere


def cents(why: Column) -> Column:
    """The amount in whole cents; null for a row with a reason, whose amount may not be a valid number."""
    return F.when(why.isNull(), (F.expr("cast(amount as decimal(38, 2))") * 100).cast("bigint"))


def _id_rules(name: str) -> Iterator[tuple[str, Column]]:
    yield f"{name}_negative", F.col(name) < 0


def _amount_rules(name: str) -> Iterator[tuple[str, Column]]:
    amount = F.col(name)
    # null means too large for a decimal.
    value = F.expr(f"try_cast({name} as decimal(38, 2))")
    yield f"{name}_not_a_number", ~amount.rlike(_DECIMAL)
    yield f"{name}_negative", amount.rlike(_BELOW_ZERO)
    yield f"{name}_above_maximum", value.isNull() | (value > F.lit(MAX_AMOUNT))
    yield f"{name}_not_two_decimals", amount.rlike(_FINER_THAN_CENTS)


def _instant_rules(name: str) -> Iterator[tuple[str, Column]]:
    yield f"{name}_before_1970", F.col(name) < 0
    yield f"{name}_after_9999", F.col(name) > LAST_SECOND
