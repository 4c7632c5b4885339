"""What checks say with: what was called, what came, what was expected, and which mistake that is."""

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
    """An answer that runs and is not right."""

    def __init__(self, called: str, came: object, expected: object, mistake: str) -> None:
        lines = [("called", called), ("came", show(came)), ("expected", show(expected)), ("mistake", mistake)]
        super().__init__("\n".join(f"{name:<10}{value}" for name, value in lines))


class UnavailableError(Exception):
    """What the check needs is not there; the text says what to do."""


def expect(
    called: str,
    came: object,
    expected: object,
    otherwise: str,
    mistakes: Sequence[tuple[object, str]] = (),
    same: Callable[[Any, Any], bool] | None = None,
) -> None:
    """Compare what came with what was expected. Raises `IncorrectError`.

    `mistakes` are the typical ones: what comes of each (a value, or a function that knows it), and what to say of it;
    `otherwise` is said where it is none of them.
    """
    equal = same or alike
    if equal(came, expected):
        return
    for wrong, says in mistakes:
        if wrong(came) if callable(wrong) else equal(came, wrong):
            raise IncorrectError(called, came, expected, says)
    raise IncorrectError(called, came, expected, otherwise)


def alike(one: object, other: object) -> bool:
    """Equal in value, floats but for their last digits, and in kind: 1 is not True, a list is not a tuple."""
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
        # What cannot be compared is not what was expected.
        return False


def _precision(number: object) -> float:
    """How close two of its kind are that mean the same."""
    return 1e-6 if str(getattr(number, "dtype", "")) == "float32" else 1e-9


def show(value: object) -> str:
    """A value in a line or a few, cut where it is long."""
    return value if isinstance(value, Said) else SHORT.repr(value)


class Said(str):
    """Words in place of a value: shown as they are."""

    __slots__ = ()
