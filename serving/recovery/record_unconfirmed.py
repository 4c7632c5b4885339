"""Write to the decision log what only this process may know: responses and fraud reports that are unconfirmed."""

from __future__ import annotations

import logging

import orjson

from serving.decision_log.outbox_relay import UNRECORDABLE, reason_of
from serving.decision_log.protocol import ReconcilableLog
from serving.observability.logging import event
from serving.recovery.confirmer import UnconfirmedReports
from serving.recovery.recent_responses import RecentResponses
from serving.recovery.replay import chunks
from serving.scoring.report import Report


class UnconfirmedRecorder:
    """Appends to the log, and remembers until recovery is complete what the store may have lost.

    Methods raise `psycopg.Error` if the log does not answer; nothing is then forgotten.
    """

    def __init__(self, log: ReconcilableLog, recent: RecentResponses, reports: UnconfirmedReports) -> None:
        self._log = log
        self._recent = recent
        self._unconfirmed_reports = reports
        self._responses: dict[int, None] = {}
        self._reports: dict[tuple[int, int], Report] = {}

    @property
    def responses(self) -> list[int]:
        """Payments that were answered before the failure, as far as they are remembered: confirmed ones too.

        The log having a response does not mean that the store still does.
        """
        return list(self._responses)

    @property
    def reports(self) -> list[Report]:
        """Fraud reports that were not confirmed before the failure."""
        return list(self._reports.values())

    async def save(self) -> None:
        """Append all that is unconfirmed, the newest responses first: other scorers may be asked for them."""
        self._responses |= dict.fromkeys(self._recent.all())
        for chunk in chunks(self._recent.unconfirmed.oldest()[::-1]):
            await self._append([kept for number in chunk if (kept := self._recent.get(number))])
            self._recent.confirm(chunk)
        for keys in chunks(self._unconfirmed_reports.oldest()):
            rows = [orjson.loads(kept) for key in keys if (kept := self._unconfirmed_reports.get(key))]
            self._reports |= {report.key: report for report in map(Report.recorded, rows)}
            await self._log.append_reports(rows)
            self._unconfirmed_reports.confirm(keys)

    def forget(self) -> None:
        """Recovery is complete."""
        self._responses, self._reports = {}, {}

    async def _append(self, responses: list[bytes]) -> None:
        """Append all that PostgreSQL takes: what it rejects must not stop recovery."""
        try:
            await self._log.append(responses)
        except UNRECORDABLE as error:
            if len(responses) == 1:
                event("answer rejected by the decision log", logging.ERROR, reason=reason_of(error))
                return
            middle = len(responses) // 2
            await self._append(responses[:middle])
            await self._append(responses[middle:])
