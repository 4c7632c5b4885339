"""Valid and invalid transactions."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.features import FEATURES
from contracts.transaction import (
    ANALYSIS_FIELDS,
    MAX_AMOUNT,
    MAX_AMOUNT_CENTS,
    REPORT_FIELDS,
    TRANSACTION_FIELDS,
    FraudReport,
    Transaction,
)

GOOD: dict[str, Any] = {
    "transaction_id": 2**63 - 1,
    "customer_id": 0,
    "terminal_id": 7,
    "amount": 12.34,
    "occurred_at": "2018-09-04T10:15:00.987654+02:00",
}


def parse(**changes: Any) -> Transaction:
    return Transaction.model_validate_json(json.dumps(GOOD | changes))


def test_the_models_have_the_fields_of_the_contract() -> None:
    assert list(Transaction.model_fields) == [field.name for field in TRANSACTION_FIELDS]
    assert list(FraudReport.model_fields) == [field.name for field in REPORT_FIELDS]
    assert int(MAX_AMOUNT * 100) == MAX_AMOUNT_CENTS


def test_analysis_columns_are_no_features_and_never_reach_the_scorer() -> None:
    names = {field.name for field in ANALYSIS_FIELDS}
    assert names == {"pattern"}
    assert names.isdisjoint({*FEATURES, *Transaction.model_fields, *FraudReport.model_fields})
    with pytest.raises(ValidationError, match="pattern"):
        FraudReport.model_validate({"transaction_id": 1, "reported_at": "2018-09-04T10:15:00Z", "pattern": 1})


def test_the_last_instant_is_the_last_one_in_utc() -> None:
    assert parse(occurred_at="9999-12-31T23:59:59.9Z").occurred_at.isoformat() == "9999-12-31T23:59:59+00:00"
    assert parse(occurred_at="9999-12-31T23:59:59+01:00").occurred_at.isoformat() == "9999-12-31T22:59:59+00:00"


def test_instants_are_utc_and_truncated_to_seconds() -> None:
    payment = parse()
    assert payment.occurred_at.isoformat() == "2018-09-04T08:15:00+00:00"
    assert payment.occurred_second == 1536048900
    assert payment.amount_cents == 1234


@pytest.mark.parametrize(
    ("amount", "cents"),
    [(0, 0), (0.1, 10), (1_000_000, 100_000_000), (999_999.99, 99_999_999), ("5.50", 550), (1e2, 10_000)],
)
def test_valid_amounts(amount: float | str, cents: int) -> None:
    assert parse(amount=amount).amount_cents == cents


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount", -0.01),
        ("amount", 1_000_000.01),
        ("amount", 1.005),
        ("amount", None),
        ("amount", "twelve"),
        ("amount", "0" * 64 + "1"),
        ("amount", "1.000"),
        ("amount", "1_000"),
        ("amount", "1e3"),
        ("amount", " 5 "),
        ("amount", "٣"),
        ("amount", "5\n"),
        ("amount", "5."),
        ("amount", ".5"),
        ("amount", "+5"),
        ("amount", "-0"),
        ("amount", "NaN"),
        ("amount", "0000005"),
        ("amount", "1000000.01"),
        ("amount", ""),
        ("amount", [0, [5], 0]),
        ("amount", True),
        ("amount", float("nan")),
        ("amount", float("inf")),
        ("amount", [1]),
        ("transaction_id", -1),
        ("transaction_id", 2**63),
        ("transaction_id", 1.0),
        ("transaction_id", "1"),
        ("transaction_id", True),
        ("customer_id", None),
        ("terminal_id", {}),
        ("occurred_at", "2018-09-04T10:15:00"),
        ("occurred_at", "2018-09-04"),
        ("occurred_at", 1536056100),
        ("occurred_at", "1536056100"),
        ("occurred_at", "1536056100.5"),
        ("occurred_at", "-1536056100"),
        ("occurred_at", "1969-12-31T23:59:59Z"),
        ("occurred_at", "9999-12-31T23:59:59-01:00"),
        ("occurred_at", "0001-01-01T00:00:00+14:00"),
        ("occurred_at", "tomorrow"),
        ("tx_fraud", 1),
    ],
)
def test_invalid_values_are_rejected_by_field(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        parse(**{field: value})
    assert caught.value.errors()[0]["loc"][0] == field


@pytest.mark.parametrize("field", list(GOOD))
def test_a_missing_field_is_named(field: str) -> None:
    body = {name: value for name, value in GOOD.items() if name != field}
    with pytest.raises(ValidationError) as caught:
        Transaction.model_validate_json(json.dumps(body))
    assert caught.value.errors()[0]["loc"] == (field,)


PUBLISHED = Transaction.model_json_schema()["properties"]["amount"]["anyOf"]
"""What the scorer's OpenAPI document says of an amount: a number, or text."""


def accepted(amount: object) -> bool:
    """Whether an amount is accepted, as in JSON that is parsed by Python, which is how the scorer reads it."""
    try:
        Transaction.model_validate(GOOD | {"amount": json.loads(json.dumps(amount))})
    except ValidationError:
        return False
    return True


@given(
    st.text(max_size=12)
    | st.text("0123456789.", max_size=12)
    | st.text("01 _-+eE.,\n٣٫１", max_size=6)
    | st.from_regex(PUBLISHED[1]["pattern"])
    | st.decimals(-10, 1_100_000, places=2).map(str)
    | st.decimals(0, 10, places=3).map(str)
)
@example("1000000.00").via("the largest")
@example("1000000.01").via("more than the largest")
@example("5\n").via("Python's $ matches before a last line break, the one of JSON Schema does not")
def test_an_amount_as_text_is_accepted_if_the_published_pattern_matches(text: str) -> None:
    pattern = PUBLISHED[1]["pattern"]
    matches = re.search(pattern.replace("$", r"\Z"), text, re.ASCII) is not None
    assert accepted(text) == matches
    if matches:
        assert Transaction.model_validate(GOOD | {"amount": text}).amount == Decimal(text)


@given(
    st.floats()
    | st.floats(0, 1_000_001)
    | st.integers()
    | st.integers(-100, 100_000_100).map(lambda cents: cents / 100)
    | st.integers(0, 1_000_000_100).map(lambda mills: mills / 1000)
)
@example(1e-7).via("a number that Python writes with an exponent")
@example(1_000_000).via("the largest")
def test_an_amount_as_a_number_is_accepted_if_the_published_schema_allows_it(number: float) -> None:
    schema = PUBLISHED[0]
    exact = Decimal(repr(number))
    allowed = (
        exact.is_finite()
        and schema["minimum"] <= exact <= schema["maximum"]
        and exact % Decimal(repr(schema["multipleOf"])) == 0
    )
    assert accepted(number) == allowed
