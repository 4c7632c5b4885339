"""Find out which answers and fraud reports of this process are in the decision log, once a second, all in two queries.

The relay of any scorer may have written them, so the log itself is queried. What is younger than a second is not: most
of it is still in the outbox.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import psycopg

from serving.decision_log.protocol import Confirming
from serving.observability.logging import event
from serving.observability.metrics import Metrics
from serving.observability.transition_logger import TransitionLogger
from serving.recovery.recent_responses import RecentResponses
from serving.recovery.unconfirmed import Unconfirmed

SECONDS: Final = 1.0
MAX_ASKED: Final = 10_000
"""In one query: more than one process answers in a second."""
MAX_REPORT_BYTES: Final = 16 * 2**20
UnconfirmedReports = Unconfirmed[tuple[int, int]]
"""Rows of serving.fraud_reports by payment and second."""


class Confirmer:
    """Removes from what is unconfirmed whatever the log has."""

    def __init__(self, recent: RecentResponses, reports: UnconfirmedReports, log: Confirming, metrics: Metrics) -> None:
        self._recent = recent
        self._reports = reports
        self._log = log
        self._metrics = metrics
        self._answers_before: list[int] = []
        self._reports_before: list[tuple[int, int]] = []
        self._dropped = 0
        self._transitions = TransitionLogger(
            "unconfirmed answers dropped", recovered="unconfirmed answers no longer dropped"
        )

    async def run(self) -> None:
        """Confirm until cancelled; without PostgreSQL everything stays unconfirmed."""
        while True:
            await asyncio.sleep(SECONDS)
            self.observe()
            try:
                await self.confirm()
            except (psycopg.Error, OSError):
                # The outbox relay and `/readyz` report it.
                continue
            except Exception:
                # An unexpected error is logged with its trace and retried: all stays unconfirmed, and nothing is lost.
                event("confirmation failed", logging.ERROR, exc_info=True)

    async def confirm(self) -> None:
        """Ask for what was unconfirmed at the call before."""
        answers, self._answers_before = self._answers_before, self._recent.unconfirmed.oldest(MAX_ASKED)
        reports, self._reports_before = self._reports_before, self._reports.oldest(MAX_ASKED)
        if answers:
            self._recent.confirm(set(answers) - await self._log.missing(answers))
        if reports:
            self._reports.confirm(set(reports) - await self._log.missing_reports(reports))

    def observe(self) -> None:
        """Set the metrics, and log when dropping begins and ends."""
        self._metrics.unconfirmed.set(len(self._recent.unconfirmed) + len(self._reports))
        total = self._recent.unconfirmed.dropped + self._reports.dropped
        new, self._dropped = total - self._dropped, total
        self._metrics.unconfirmed_dropped.inc(new)
        problem = "too much is unconfirmed for the memory kept for it (SCORER_UNCONFIRMED_BYTES)" if new else ""
        self._transitions.update(
            problem, until_then="the oldest are in Valkey's outbox alone, which a failover may lose"
        )
