"""Events that may occur very often are logged once in a while, with their number."""

from __future__ import annotations

import logging

import pytest

from serving.observability import counted_event
from serving.observability.counted_event import CountedEvent


def test_an_event_is_logged_once_in_a_while_with_its_number(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(counted_event.time, "monotonic", lambda: now[0])
    often, other = CountedEvent("often"), CountedEvent("other")
    with caplog.at_level(logging.WARNING):
        for second in (0, 1, 9.9, 10, 11, 25):
            now[0] = 100.0 + second
            often.add(reason=str(second))
        other.add()
    said = [(record.getMessage(), vars(record)["fields"]) for record in caplog.records]
    assert said == [
        ("often", {"reason": "0", "count": 1}),
        ("often", {"reason": "10", "count": 3}),
        ("often", {"reason": "25", "count": 2}),
        ("other", {"count": 1}),
    ]
