"""What many requests cause is logged by its number."""

from __future__ import annotations

import logging

import pytest
from valkey.exceptions import ConnectionError as ValkeyConnectionError

from serving.observability import limited_log
from serving.observability.limited_log import LimitedLog


def test_of_many_events_few_are_logged_with_their_number(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LimitedLog("request failed: store unavailable")
    with caplog.at_level(logging.INFO, "serving"):
        for _ in range(1_000):
            log.add(reason=repr(ValkeyConnectionError("away")))
        monkeypatch.setattr(limited_log, "LOG_SECONDS", 0)
        log.add(reason="now")
    assert [(record.getMessage(), record.fields["count"]) for record in caplog.records] == [  # type: ignore[attr-defined]
        ("request failed: store unavailable", 1),
        ("request failed: store unavailable", 1_000),
    ]
