"""Take fraud reports: locate each payment, merge its earliest report into its terminal's history, and record it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from contracts.transaction import FraudReport, epoch_seconds
from serving.decision_log.backpressure import Backpressure
from serving.decision_log.protocol import DecisionLog
from serving.errors import OnlineStoreUnavailableError
from serving.observability.metrics import Metrics
from serving.online_store.protocol import OnlineStore
from serving.recovery.circuit_breaker import CircuitBreaker
from serving.recovery.confirmer import UnconfirmedReports
from serving.scoring.decision_records import pack
from serving.scoring.micro_batcher import MicroBatcher
from serving.scoring.payment import Location
from serving.scoring.report import Report

CHUNK: Final = 100
"""Reports merged by one script: others wait for Valkey meanwhile. As many ids of a request share a query of the log."""
LOCATED: Final = 50
"""Requests that share a query of the log, at most."""


@dataclass(frozen=True)
class Outcome:
    """How many reports were accepted, and the ids of unknown payments, once each."""

    accepted: int
    unknown: list[int]


class FraudReporter:
    """Takes reports. A report that it accepts is in the outbox, and in memory until it is known to be in the log.

    Raises `ValkeyError`, `OnlineStoreUnavailableError` and `OverloadedError`, and `psycopg.Error` if only the decision
    log could know a payment.
    """

    def __init__(
        self,
        store: OnlineStore,
        log: DecisionLog,
        breaker: CircuitBreaker,
        unconfirmed: UnconfirmedReports,
        backpressure: Backpressure,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._log = log
        self._breaker = breaker
        self._unconfirmed = unconfirmed
        self._backpressure = backpressure
        self._metrics = metrics
        self._in_log: MicroBatcher[Sequence[int], dict[int, Location]] = MicroBatcher(self._locate_all, LOCATED, 1)

    async def take(self, reports: Sequence[FraudReport]) -> Outcome:
        """Accept these reports; all payments are located first. After an error some may be accepted: send all again."""
        self._require_store()
        self._backpressure.require_memory()
        earliest = _earliest(reports)
        locations = await self._locate(list(earliest))
        known = [Report(number, earliest[number], location) for number, location in locations.items()]
        for start in range(0, len(known), CHUNK):
            await self._accept(known[start : start + CHUNK])
        unknown = [number for number in earliest if number not in locations]
        accepted = sum(report.transaction_id in locations for report in reports)
        self._metrics.reports.labels("accepted").inc(accepted)
        self._metrics.reports.labels("unknown").inc(len(reports) - accepted)
        return Outcome(accepted, unknown)

    async def _accept(self, reports: Sequence[Report]) -> None:
        # Until recovery is complete, the store may give a number again.
        self._require_store()
        for report in await self._store.accept_reports(reports):
            self._unconfirmed.add(report.key, pack(report.as_row()))

    def _require_store(self) -> None:
        if not self._breaker.closed:
            raise OnlineStoreUnavailableError(f"{self._breaker.problem}; fraud reports need the online store: retry")

    async def _locate(self, ids: list[int]) -> dict[int, Location]:
        if not ids:
            return {}
        locations = await self._store.locate(ids)
        missing = [number for number in ids if number not in locations]
        for start in range(0, len(missing), CHUNK):
            locations |= await self._in_log.ask(missing[start : start + CHUNK])
        return locations

    async def _locate_all(self, asked: Sequence[Sequence[int]]) -> list[dict[int, Location]]:
        """Locations that the decision log has: one query for the requests that wait, which need one connection."""
        found = await self._log.locate(list({number for ids in asked for number in ids}))
        return [{number: found[number] for number in ids if number in found} for ids in asked]


def _earliest(reports: Sequence[FraudReport]) -> dict[int, int]:
    """The second of each payment's earliest report among these."""
    earliest: dict[int, int] = {}
    for report in reports:
        second = epoch_seconds(report.reported_at)
        earliest[report.transaction_id] = min(second, earliest.get(report.transaction_id, second))
    return earliest
