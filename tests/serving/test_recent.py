"""The latest answers: found by payment, told from an instant on, never too many."""

from __future__ import annotations

import time

from serving.recent import Recent


def test_the_newest_are_kept_and_told_in_order() -> None:
    recent = Recent(most=3)
    for number in range(4):
        recent.add(number, str(number).encode())
    assert recent.get(0) is None
    assert recent.get(3) == b"3"
    recent.add(1, b"again")
    assert recent.since(0) == [b"2", b"3", b"again"]


def test_only_those_since_an_instant() -> None:
    recent = Recent()
    recent.add(1, b"before")
    instant = time.monotonic()
    while time.monotonic() == instant:
        pass
    recent.add(2, b"after")
    assert recent.since(instant) == [b"after"]
