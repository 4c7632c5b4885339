"""Checks that the payment model accepts valid input and names the invalid fields otherwise."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import ValidationError

from contracts.transaction import MAX_ID, Transaction
from exercises.expect import expect

GOOD = {
    "transaction_id": 1,
    "customer_id": 2,
    "terminal_id": 3,
    "amount": 12.5,
    "occurred_at": "2018-09-04T10:15:00Z",
}
ID_FIELDS = ["transaction_id", "customer_id", "terminal_id"]
NAMELESS = (
    lambda actual: actual == ["(no field)"],
    "It is rejected, but no field is named: the caller cannot tell which one to fix. A model validator does not name a "
    "field; a field validator does.",
)
STRICT = "A valid payment is rejected. Perhaps the rules are too strict: "


def check(
    answer: Any, changes: dict[str, Any], expected: list[str], otherwise: str, mistakes: Sequence[tuple[Any, str]] = ()
) -> None:
    """Compare the fields named for the valid payment with some changes."""
    body = GOOD | changes
    said = ", ".join(f"{name}={value!r}" for name, value in changes.items())
    call = f"refused(a good payment with {said})" if changes else f"refused({GOOD})"
    expect(call, answer.refused(body), expected, otherwise, [*mistakes, NAMELESS], same=same_names)


def same_names(actual: object, expected: object) -> bool:
    """Whether the same fields are named, in whatever order."""
    if not isinstance(actual, list | tuple | set | frozenset) or not isinstance(expected, list):
        return False
    return sorted(map(str, actual)) == expected


def test_good(answer: Any) -> None:
    says = "the docstring of Payment says what is allowed. A validator must return the value."
    check(answer, {}, [], STRICT + says)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"amount": 12}, "an amount may be a whole number."),
        ({"amount": "12.50"}, "an amount may be text, as in '12.50': a float cannot represent every amount exactly."),
        ({"amount": 0}, "0 is an amount."),
        ({"amount": 1_000_000}, "1,000,000 is allowed, and the next larger amount is not."),
        (dict.fromkeys(ID_FIELDS, 0), "0 is an id."),
        (dict.fromkeys(ID_FIELDS, MAX_ID), "the largest int64 is an id."),
        ({"occurred_at": "2018-09-04T12:15:00+02:00"}, "any zone is valid, not only UTC."),
        ({"occurred_at": "2018-09-04T10:15:00.250Z"}, "a fraction of a second is accepted."),
        ({"occurred_at": "1970-01-01T00:00:00Z"}, "1970 includes its first second."),
        ({"occurred_at": "1969-12-31T23:30:00-02:00"}, "in UTC this is 1970, so compare moments, not years."),
    ],
)
def test_also_good(answer: Any, changes: dict[str, Any], why: str) -> None:
    check(answer, changes, [], STRICT + why)


@pytest.mark.parametrize("left_out", GOOD)
def test_missing_field(answer: Any, left_out: str) -> None:
    body = {name: value for name, value in GOOD.items() if name != left_out}
    says = f"A payment without {left_out} is accepted: a field that is not declared, or has a default, can be missing."
    call, otherwise = f"refused(a payment without {left_out})", "Name only the missing field."
    expect(call, answer.refused(body), [left_out], otherwise, [([], says), NAMELESS], same=same_names)


def test_unknown_field(answer: Any) -> None:
    says = (
        "An unknown field is ignored, which is pydantic's default. A caller who misspells a field would never notice: "
        "forbid extra fields in the model's configuration."
    )
    check(answer, {"currency": "EUR"}, ["currency"], "Name only the unknown field.", [([], says)])


@pytest.mark.parametrize("name", ID_FIELDS)
@pytest.mark.parametrize("value", [True, "7", 7.0])
def test_id_of_another_kind(answer: Any, name: str, value: object) -> None:
    says = (
        f"{value!r} is accepted as a number: pydantic converts what it can, so true becomes the id 1. An id must "
        "already be an integer; use strict mode."
    )
    check(answer, {name: value}, [name], "Name only the invalid id.", [([], says)])


@pytest.mark.parametrize("name", ID_FIELDS)
@pytest.mark.parametrize("value", [-1, MAX_ID + 1])
def test_id_out_of_range(answer: Any, name: str, value: int) -> None:
    says = "Ids go from 0 to the largest int64. Python's int has no bounds, but the database column does."
    check(answer, {name: value}, [name], "Name only the invalid id.", [([], says)])


@pytest.mark.parametrize("value", [12.345, "0.001", 0.1 + 0.2])
def test_more_than_two_decimals(answer: Any, value: object) -> None:
    says = (
        "An amount with more than two decimals is accepted. Such an amount does not exist, and rounding it would hide "
        "the caller's mistake. A Decimal knows its decimal places, a float does not."
    )
    check(answer, {"amount": value}, ["amount"], "Name only the amount.", [([], says)])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "NaN"])
def test_not_a_number(answer: Any, value: object) -> None:
    says = "It is accepted. NaN compares as false with everything, so a test for too large lets it pass: reject it."
    check(answer, {"amount": value}, ["amount"], "Name only the amount.", [([], says)])


@pytest.mark.parametrize("value", [-0.01, 1_000_000.01])
def test_amount_out_of_range(answer: Any, value: float) -> None:
    check(answer, {"amount": value}, ["amount"], "An amount goes from 0 to 1,000,000, both allowed.")


def test_amount_is_a_bool(answer: Any) -> None:
    says = (
        "In Python True is the number 1. As an amount it is a caller's mistake: check the value before it is converted."
    )
    check(answer, {"amount": True}, ["amount"], "Name only the amount.", [([], says)])


@pytest.mark.parametrize("value", ["2018-09-04T10:15:00", "2018-09-04"])
def test_no_zone(answer: Any, value: str) -> None:
    says = (
        "A time without a zone is accepted. It is ambiguous, and the features are computed to the second: pydantic has "
        "a type for a datetime with a zone."
    )
    check(answer, {"occurred_at": value}, ["occurred_at"], "Name only the time.", [([], says)])


@pytest.mark.parametrize("value", [1_536_056_100, 1_536_056_100.0, 0])
def test_number_as_time(answer: Any, value: float) -> None:
    says = (
        "A number is accepted as seconds or milliseconds since 1970, whichever pydantic guesses. A number has no zone: "
        "check the value before it is converted."
    )
    check(answer, {"occurred_at": value}, ["occurred_at"], "Name only the time.", [([], says)])


@pytest.mark.parametrize("value", ["1536056100", "1536056100.5"])
def test_number_as_text_as_time(answer: Any, value: str) -> None:
    says = (
        "A number as text is accepted as seconds since 1970, too: not every string is a date. Check its content before "
        "it is converted."
    )
    check(answer, {"occurred_at": value}, ["occurred_at"], "Name only the time.", [([], says)])


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("1969-12-31T23:59:59Z", "earlier times must be rejected."),
        ("1970-01-01T00:30:00+02:00", "in UTC this is in 1969. Compare moments, not years."),
    ],
)
def test_before_1970(answer: Any, value: str, why: str) -> None:
    check(answer, {"occurred_at": value}, ["occurred_at"], f"Moments are kept as seconds since 1970, 0 or more: {why}")


def test_two_fields(answer: Any) -> None:
    says = "Name every invalid field at once, or the caller fixes one and is rejected for the next."
    check(answer, {"customer_id": -1, "amount": "many"}, ["amount", "customer_id"], says)


IDS = [0, 1, 5, 2**53 + 1, MAX_ID, MAX_ID + 1, -1, -(2**63), True, False, 1.0, 1.5, "1", "", None, [1], {}]
AMOUNTS = [0, 1, 12.5, 0.01, "12.50", "1000000", 1_000_000.01, -0.01, "-1", 12.345, "12.345", 0.1 + 0.2, True, None]
NO_AMOUNTS = ["", "many", float("nan"), float("inf"), float("-inf"), "NaN", "Infinity", [], 1e300, 10**30, False]
TIMES = ["2018-09-04T10:15:00Z", "2018-09-04T10:15:00+02:00", "2018-09-04T10:15:00.5Z", "1970-01-01T00:00:00Z"]
NO_TIMES = ["2018-09-04T10:15:00", "2018-09-04", "yesterday", "", "1969-12-31T23:59:59Z", "7", 0, 1_536_056_100, None]
VALUES: dict[str, list[Any]] = {"id": IDS, "amount": AMOUNTS + NO_AMOUNTS, "occurred_at": TIMES + NO_TIMES}


def random_body(rng: random.Random) -> dict[str, Any]:
    """A payment, mostly valid, sometimes with fields changed, removed or added."""
    body: dict[str, Any] = GOOD | {
        "transaction_id": rng.randrange(MAX_ID),
        "customer_id": rng.randrange(10**6),
        "amount": rng.randrange(10**8) / 100,
    }
    for name in list(body):
        if rng.random() < 0.3:
            body[name] = rng.choice(VALUES["id" if name.endswith("_id") else name])
        elif rng.random() < 0.05:
            del body[name]
    if rng.random() < 0.1:
        body[rng.choice(["currency", "Amount", "customer", "occurredAt"])] = rng.choice([1, "EUR", None])
    return body


def production_refuses(body: dict[str, Any]) -> list[str]:
    """The fields for which the pipeline's own contract refuses a body."""
    try:
        Transaction.model_validate(body)
    except ValidationError as error:
        return sorted({str(item["loc"][0]) for item in error.errors()})
    return []


def test_agrees_with_production(answer: Any) -> None:
    rng = random.Random(20180904)
    for _ in range(1000):
        body = random_body(rng)
        says = "contracts/transaction.py names different fields for this body: compare each field with its rule."
        expect(f"refused({body})", answer.refused(body), production_refuses(body), says, same=same_names)
