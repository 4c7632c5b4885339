"""How checks report a wrong answer: the call, its result, the expected result, and the mistake."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, Final

SHORT: Final = reprlib.Repr()
SHORT.maxlist = SHORT.maxtuple = SHORT.maxset = SHORT.maxdict = 12
SHORT.maxstring = SHORT.maxother = 400
SHORT.maxlevel = 4


class IncorrectError(AssertionError):
    """An answer that runs but is incorrect."""

    def __init__(self, call: str, actual: object, expected: object, mistake: str) -> None:
        lines = [("call", call), ("actual", show(actual)), ("expected", show(expected)), ("mistake", mistake)]
        super().__init__("\n".join(f"{name:<10}{value}" for name, value in lines))


class UnavailableError(Exception):
    """Something that the check needs is missing; the message says what to do."""


def expect(
    call: str,
    actual: object,
    expected: object,
    otherwise: str,
    mistakes: Sequence[tuple[object, str]] = (),
    same: Callable[[Any, Any], bool] | None = None,
) -> None:
    """Compare a result with the expected one. Raises `IncorrectError`.

    `mistakes` lists typical mistakes: the result of each (a value, or a predicate) and its message; `otherwise` is the
    message for any other wrong result. `same` replaces the comparison by `alike`.
    """
    equal = same or alike
    if equal(actual, expected):
        return
    for wrong, says in mistakes:
        if wrong(actual) if callable(wrong) else equal(actual, wrong):
            raise IncorrectError(call, actual, expected, says)
    raise IncorrectError(call, actual, expected, otherwise)


def alike(one: object, other: object) -> bool:
    """Equal in value (floats up to their last digits) and in type: 1 is not True, a list is not a tuple."""
    if isinstance(one, bool) or isinstance(other, bool):
        return isinstance(one, bool) and isinstance(other, bool) and one == other
    if isinstance(one, Real) and isinstance(other, Real):
        return math.isclose(one, other, rel_tol=max(_precision(one), _precision(other)), abs_tol=1e-12)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return (
            isinstance(one, list) == isinstance(other, list)
            and len(one) == len(other)
            and all(alike(a, b) for a, b in zip(one, other, strict=True))
        )
    try:
        return bool(one == other)
    except Exception:
        # A value that cannot be compared is not the expected one.
        return False


def _precision(number: object) -> float:
    """The relative tolerance for a number of this type."""
    return 1e-6 if str(getattr(number, "dtype", "")) == "float32" else 1e-9


def show(value: object) -> str:
    """A value as text, shortened if it is long."""
    return value if isinstance(value, Description) else SHORT.repr(value)


class Description(str):
    """A description in place of a value, shown unmodified."""

    __slots__ = ()
