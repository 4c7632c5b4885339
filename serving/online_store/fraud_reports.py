"""Take fraud reports: locate each payment and merge its earliest report into its terminal's history."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contracts.transaction import FraudReport, epoch_seconds
from serving.decision_log.protocol import DecisionLog
from serving.observability.metrics import Metrics
from serving.online_store.protocol import OnlineStore
from serving.scoring.payment import Location, terminal_entry


@dataclass(frozen=True)
class Outcome:
    """How many reports were accepted, and the ids of unknown payments, once each."""

    accepted: int
    unknown: list[int]


class FraudReporter:
    """Takes reports. Raises `ValkeyError`, and `psycopg.Error` if only the decision log could know a payment."""

    def __init__(self, store: OnlineStore, log: DecisionLog, metrics: Metrics) -> None:
        self._store = store
        self._log = log
        self._metrics = metrics

    async def take(self, reports: Sequence[FraudReport]) -> Outcome:
        """Merge these reports; all payments are located first, so an error leaves nothing half-done."""
        earliest = _earliest(reports)
        locations = await self._locate(list(earliest))
        await self._store.merge_reports(_by_terminal(earliest, locations))
        unknown = [number for number in earliest if number not in locations]
        accepted = sum(report.transaction_id in locations for report in reports)
        self._metrics.reports.labels("accepted").inc(accepted)
        self._metrics.reports.labels("unknown").inc(len(reports) - accepted)
        return Outcome(accepted, unknown)

    async def _locate(self, ids: list[int]) -> dict[int, Location]:
        if not ids:
            return {}
        locations = await self._store.locate(ids)
        missing = [number for number in ids if number not in locations]
        return locations | await self._log.locate(missing) if missing else locations


def _earliest(reports: Sequence[FraudReport]) -> dict[int, int]:
    """The second of each payment's earliest report among these."""
    earliest: dict[int, int] = {}
    for report in reports:
        second = epoch_seconds(report.reported_at)
        earliest[report.transaction_id] = min(second, earliest.get(report.transaction_id, second))
    return earliest


def _by_terminal(earliest: Mapping[int, int], locations: Mapping[int, Location]) -> dict[int, bytes]:
    """Packed entries for each terminal, in order of position."""
    entries: defaultdict[int, list[bytes]] = defaultdict(list)
    for number, (terminal_id, second, cents) in locations.items():
        entries[terminal_id].append(terminal_entry(second, number, cents, earliest[number]))
    # Entries are big-endian and never negative, so they sort as their positions do.
    return {terminal_id: b"".join(sorted(packed)) for terminal_id, packed in entries.items()}
