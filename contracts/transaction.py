"""The contract for transactions and fraud reports.

All representations derive from this module: the scorer's request model is `Transaction` itself; the Spark schema and
the bank's tables map `TRANSACTION_FIELDS` to their own types.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

MAX_ID: Final = 2**63 - 1
MAX_AMOUNT: Final = Decimal("1000000.00")
MAX_AMOUNT_CENTS: Final = 100_000_000
AMOUNT_TEXT: Final = r"^(1000000(\.00?)?|[0-9]{1,6}(\.[0-9]{1,2})?)$"
"""The pattern of an amount that is sent as text. `Decimal` reads much more: "1_000", "1e3", " 5 ", Arabic digits."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MAX_CLOCK_SKEW: Final = timedelta(minutes=5)
"""How far a payment may be dated ahead of the receiver's clock."""

Kind = Literal["id", "amount", "instant", "code"]


@dataclass(frozen=True)
class FieldSpec:
    """A field of the contract: its name, its meaning and the kind of value, which each store maps to a type."""

    name: str
    kind: Kind
    meaning: str


TRANSACTION_FIELDS: Final = (
    FieldSpec("transaction_id", "id", "identifies the payment; int64, 0 or more"),
    FieldSpec("customer_id", "id", "identifies the customer; int64, 0 or more"),
    FieldSpec("terminal_id", "id", "identifies the terminal; int64, 0 or more"),
    FieldSpec("amount", "amount", "0.00 to 1,000,000.00, two decimals"),
    FieldSpec("occurred_at", "instant", "UTC, whole seconds, from 1970 on"),
)
REPORT_FIELDS: Final = (
    FieldSpec("transaction_id", "id", "the payment reported as fraud"),
    FieldSpec("reported_at", "instant", "when the report was received; the earliest of several counts"),
)
FRAUD_PATTERNS: Final[Mapping[int, str]] = {1: "large amount", 2: "compromised terminal", 3: "compromised card"}
"""Fraud patterns by their code in published data, for analysis, never a feature. The last of several counts."""
ANALYSIS_FIELDS: Final = (FieldSpec("pattern", "code", "a code of `FRAUD_PATTERNS`; null if unknown"),)
"""Further fields of a report in the bank and the lake: for analysis, never a feature, never sent to the scorer."""


def epoch_seconds(instant: datetime) -> int:
    """Whole seconds since 1970-01-01T00:00:00Z of a timezone-aware instant; fractions are truncated."""
    since = instant - EPOCH
    return since.days * 86_400 + since.seconds


def from_epoch_seconds(seconds: int) -> datetime:
    """The UTC instant `seconds` after 1970-01-01T00:00:00Z."""
    return EPOCH + timedelta(seconds=seconds)


LAST_SECOND: Final = epoch_seconds(datetime.max.replace(tzinfo=UTC))
"""The last second that a datetime in UTC can hold."""


def _no_number(value: object) -> object:
    """Reject numbers, even as text: pydantic would read 1700000000 as a date without a time zone."""
    if isinstance(value, datetime) or (isinstance(value, str) and value[4:5] == "-"):
        return value
    raise ValueError("must be an ISO 8601 date and time with a time zone, such as 2018-09-04T10:15:00Z")


def _cut_to_seconds(value: datetime) -> datetime:
    seconds = epoch_seconds(value)
    if seconds < 0:
        raise ValueError("must not be before 1970-01-01T00:00:00Z")
    if seconds > LAST_SECOND:
        raise ValueError("must not be after 9999-12-31T23:59:59Z")
    return from_epoch_seconds(seconds)


_is_amount_text: Final = re.compile(AMOUNT_TEXT, re.ASCII).fullmatch


def _number_or_amount_text(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    if isinstance(value, str) and not _is_amount_text(value):
        raise ValueError(
            'as text, must be digits from "0" to "1000000", with at most two decimals after a point: "12.34"'
        )
    return value


# Bounds in OpenAPI are floats: 2^63 is exact, 2^63 - 1 is not.
Id = Annotated[int, Field(strict=True, ge=0, lt=MAX_ID + 1)]
Amount = Annotated[
    Decimal,
    # Before the validator, so that pydantic checks them in Rust; after it, they would be checked in Python.
    Field(ge=0, le=MAX_AMOUNT, decimal_places=2, allow_inf_nan=False),
    BeforeValidator(_number_or_amount_text),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": float(MAX_AMOUNT), "multipleOf": 0.01},
                {"type": "string", "pattern": AMOUNT_TEXT},
            ]
        }
    ),
]
Instant = Annotated[AwareDatetime, BeforeValidator(_no_number), AfterValidator(_cut_to_seconds)]


class Transaction(BaseModel):
    """A card payment, the same model in every component.

    Raises `pydantic.ValidationError`, naming the field, for unknown fields, ids that are negative or not int64, amounts
    out of range or with more than two decimals, and instants before 1970 or without a time zone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    transaction_id: Id
    customer_id: Id
    terminal_id: Id
    amount: Amount
    occurred_at: Instant

    @property
    def amount_cents(self) -> int:
        """The amount in whole cents; sums use it because integers are exact."""
        return int(self.amount * 100)

    @property
    def occurred_second(self) -> int:
        """`occurred_at` in whole seconds since 1970."""
        return epoch_seconds(self.occurred_at)


class FraudReport(BaseModel):
    """A report that a payment was a fraud, and when it was received."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    transaction_id: Id
    reported_at: Instant
