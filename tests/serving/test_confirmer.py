"""Answers and reports are confirmed once the log has them; in two queries for any number of them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence

import pytest

from serving.observability.logging import JsonLines
from serving.observability.metrics import Metrics
from serving.recovery.confirmer import Confirmer, UnconfirmedReports
from serving.recovery.recent_responses import RecentResponses
from serving.recovery.unconfirmed import ENTRY_BYTES


class Log:
    """A decision log that has some payments and reports."""

    def __init__(self) -> None:
        self.ids: set[int] = set()
        self.reports: set[tuple[int, int]] = set()
        self.asked: list[int] = []

    async def missing(self, ids: Sequence[int]) -> set[int]:
        self.asked.append(len(ids))
        return set(ids) - self.ids

    async def missing_reports(self, keys: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
        return set(keys) - self.reports


def test_what_the_log_has_is_confirmed_and_the_rest_is_kept() -> None:
    async def run() -> None:
        log, recent, reports = Log(), RecentResponses(), UnconfirmedReports(10_000)
        confirmer = Confirmer(recent, reports, log, Metrics())
        for number in range(500):
            recent.add(number, b"answer")
        reports.add((1, 5), b"report")
        reports.add((2, 5), b"report")
        log.ids, log.reports = set(range(499)), {(1, 5)}
        await confirmer.confirm()
        # They are a moment old only: most are still in the outbox.
        assert (log.asked, len(recent.unconfirmed)) == ([], 500)
        await confirmer.confirm()
        assert (log.asked, recent.unconfirmed.oldest(), reports.oldest()) == ([500], [499], [(2, 5)])
        await confirmer.confirm()
        log.ids.add(499)
        await confirmer.confirm()
        assert recent.unconfirmed.oldest() == []

    asyncio.run(run())


def test_dropping_is_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    metrics, recent = Metrics(), RecentResponses(max_bytes=2 * ENTRY_BYTES)
    confirmer = Confirmer(recent, UnconfirmedReports(1), Log(), metrics)
    with caplog.at_level(logging.INFO, logger="serving"):
        for number in range(8):
            recent.add(number, b"")
            confirmer.observe()
        confirmer.observe()
    lines = [json.loads(JsonLines().format(record)) for record in caplog.records]
    told = ["unconfirmed answers dropped", "unconfirmed answers no longer dropped"]
    assert [line["event"] for line in lines] == told
    assert "SCORER_UNCONFIRMED_BYTES" in lines[0]["reason"]
    text = metrics.render().decode()
    assert "scorer_unconfirmed_dropped_total 6.0" in text
    assert "\nscorer_unconfirmed 2.0" in text
