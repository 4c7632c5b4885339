"""The latest answers: found by payment, listed since an instant, limited in number."""

from __future__ import annotations

import math

import pytest

from serving.recovery import recent_answers as module
from serving.recovery.recent_answers import RecentAnswers


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that a test sets."""
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_the_newest_are_kept_and_listed_in_order() -> None:
    recent = RecentAnswers(most=3)
    for number in range(4):
        recent.add(number, str(number).encode())
    assert recent.get(0) is None
    assert recent.get(3) == b"3"
    recent.add(1, b"again")
    assert recent.last(math.inf) == [2, 3, 1]


def test_those_of_the_last_seconds_before_an_instant(clock: list[float]) -> None:
    recent = RecentAnswers()
    assert recent.last(10) == []
    for number, at in enumerate((100.0, 105.0, 112.0)):
        clock[0] = at
        recent.add(number, b"")
    assert recent.last(10, before=114.0) == [1, 2]
    assert recent.last(2, before=106.0) == [1, 2]
    assert recent.last(2, before=114.0) == [2]
    # The fault was noticed long after the last answer, which may be lost all the same.
    assert recent.last(10, before=500.0) == [1, 2]
