"""Take fraud reports in: find where each payment was, and merge the earliest report into its terminal's history."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contracts.transaction import FraudReport, epoch_seconds
from serving.decision_log.log import DecisionLog
from serving.observability.metrics import Metrics
from serving.online_store.store import OnlineState
from serving.scoring.payment import Place, terminal_entry


@dataclass(frozen=True)
class Outcome:
    """How many reports were taken, and the ids, once each, of payments that nobody here knows."""

    accepted: int
    unknown: list[int]


class Reporting:
    """Takes reports in. Raises `ValkeyError`, and `psycopg.Error` where only the decision log could know a payment."""

    def __init__(self, state: OnlineState, log: DecisionLog, metrics: Metrics) -> None:
        self._state = state
        self._log = log
        self._metrics = metrics

    async def take(self, reports: Sequence[FraudReport]) -> Outcome:
        """Merge these reports; all payments are found first, so a failure leaves nothing half-done."""
        earliest = _earliest(reports)
        places = await self._locate(list(earliest))
        await self._state.merge_reports(_by_terminal(earliest, places))
        unknown = [number for number in earliest if number not in places]
        accepted = sum(report.transaction_id in places for report in reports)
        self._metrics.reports.labels("accepted").inc(accepted)
        self._metrics.reports.labels("unknown").inc(len(reports) - accepted)
        return Outcome(accepted, unknown)

    async def _locate(self, ids: list[int]) -> dict[int, Place]:
        if not ids:
            return {}
        places = await self._state.locate(ids)
        missing = [number for number in ids if number not in places]
        return places | await self._log.locate(missing) if missing else places


def _earliest(reports: Sequence[FraudReport]) -> dict[int, int]:
    """The second of each payment's earliest report among these."""
    earliest: dict[int, int] = {}
    for report in reports:
        second = epoch_seconds(report.reported_at)
        earliest[report.transaction_id] = min(second, earliest.get(report.transaction_id, second))
    return earliest


def _by_terminal(earliest: Mapping[int, int], places: Mapping[int, Place]) -> dict[int, bytes]:
    """Packed entries for each terminal, in order of place."""
    entries: defaultdict[int, list[bytes]] = defaultdict(list)
    for number, (terminal_id, second, cents) in places.items():
        entries[terminal_id].append(terminal_entry(second, number, cents, earliest[number]))
    # Entries are big-endian and never negative, so they sort as their places do.
    return {terminal_id: b"".join(sorted(packed)) for terminal_id, packed in entries.items()}
