"""What a check says about a wrong answer."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest

from exercises.expect import Description, IncorrectError, alike, expect


class Single(float):
    """Behaves like NumPy's float32."""

    dtype = "float32"


def test_a_right_answer_passes() -> None:
    expect("f(1)", 2.0000000000001, 2, "look again")
    expect("f(1)", {"a": [1, 2]}, {"a": [1, 2.0]}, "look again")


def test_a_wrong_answer_is_reported_with_its_mistake() -> None:
    with pytest.raises(IncorrectError) as raised:
        expect("count(t=5)", 7, 3, "look again", [(9, "not this"), (7, "the future is counted")])
    assert str(raised.value).split("\n") == [
        "call      count(t=5)",
        "actual    7",
        "expected  3",
        "mistake   the future is counted",
    ]


def test_a_function_may_recognise_a_mistake_and_an_unknown_one_gets_the_hint() -> None:
    with pytest.raises(IncorrectError, match="too many"):
        expect("f()", 12, 3, "look again", [(lambda actual: actual > 10, "too many")])
    with pytest.raises(IncorrectError, match="look again"):
        expect("f()", 4, 3, "look again", [(lambda actual: actual > 10, "too many")])
    with pytest.raises(IncorrectError, match="nothing came back"):
        expect("f()", None, Description("three or more"), "look again", [(None, "nothing came back")])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (True, True, True),
        ([1], (1,), False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        (math.nan, math.nan, False),
        (Decimal("1.10"), Decimal("1.1"), True),
        ("1", 1, False),
        (None, 0, False),
        (Single(0.10000000149), 0.1, True),
        (0.10000000149, 0.1, False),
        ([1, [2, 3]], [1, [2, 3.0000000000001]], True),
    ],
)
def test_alike_means_equal_in_value_and_type(one: Any, other: Any, same: bool) -> None:
    assert alike(one, other) is same


def test_values_that_cannot_be_compared_are_not_alike() -> None:
    class Odd:
        def __eq__(self, other: object) -> bool:
            raise RuntimeError

        __hash__ = None  # type: ignore[assignment]

    assert not alike(Odd(), 1)
