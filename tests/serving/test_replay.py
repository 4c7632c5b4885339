"""What is replayed into a store that went back to an earlier state: all that it lacks, and nothing that is pending."""

from __future__ import annotations

from asyncio import run
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from serving.observability.metrics import Metrics
from serving.recovery import replay
from serving.recovery.replay import Replay
from serving.scoring.payment import Payment
from serving.scoring.report import Report

IN_PROGRESS = 3
decisions = st.permutations(range(1, 30)).flatmap(lambda order: st.tuples(st.just(order), st.integers(0, 30)))


class Store:
    """A store with the answers to some payments."""

    def __init__(self, answered: set[int]) -> None:
        self.answered = answered
        self.merged: list[int] = []
        self.reports: list[int] = []

    async def unanswered(self, ids: Sequence[int]) -> list[int]:
        return [number for number in ids if number not in self.answered]

    async def merge_decisions(self, recorded: Sequence[tuple[Payment, bytes, int]]) -> list[int]:
        self.merged += [payment.transaction_id for payment, _, _ in recorded]
        return [applied for _, _, applied in recorded]

    async def merge_reports(self, reports: Sequence[Report]) -> None:
        self.reports += [report.transaction_id for report in reports]


class Log:
    """A log of decisions, by their sequence numbers, in which some are pending backfill; and of a report for each."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.rows = [record(number, applied) for number, applied in enumerate(numbers)]

    async def numbered(self, after: int, until: int) -> list[int]:
        return [row["transaction_id"] for row in self.rows if after < row["applied"] <= until]

    async def find(self, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        return {number: self.rows[number] for number in ids}

    async def applied_after(self, number: int, limit: int) -> list[dict[str, Any]]:
        found = sorted((row for row in self.rows if row["applied"] > number), key=lambda row: row["applied"])
        return found[:limit]

    async def reports_after(self, position: tuple[int, int], limit: int) -> list[Report]:
        made = [Report(row["transaction_id"], 9, (1, 0, 1), row["applied"] // 3) for row in self.rows]
        found = sorted((report.applied, report.transaction_id) for report in made)
        return [Report(number, 9, (1, 0, 1), applied) for applied, number in found if (applied, number) > position][
            :limit
        ]


def record(number: int, applied: int) -> dict[str, Any]:
    return {
        "transaction_id": number, "customer_id": 1, "terminal_id": 1, "amount": "1.00",
        "occurred_at": "1970-01-01T00:00:00Z", "applied": applied,
    }  # fmt: skip


@given(case=decisions, pending=st.integers(0, 3), lost=st.sets(st.integers(1, 29)), chunk=st.integers(1, 40))
def test_everything_above_a_number_and_answers_that_were_in_progress(
    case: tuple[list[int], int], pending: int, lost: set[int], chunk: int
) -> None:
    numbers, counter = case
    log = Log([*numbers, *[0] * pending])
    # Below the counter a store has everything but the answers of payments in progress.
    kept = {
        n
        for n, applied in enumerate(numbers)
        if applied <= counter and not (applied > counter - IN_PROGRESS and applied in lost)
    }
    store = Store(kept)
    before, replay.CHUNK, replay.IN_PROGRESS = (replay.CHUNK, replay.IN_PROGRESS), chunk, IN_PROGRESS  # type: ignore[misc]
    try:
        run(Replay(store, log, Metrics()).above(counter))  # type: ignore[arg-type]
    finally:
        replay.CHUNK, replay.IN_PROGRESS = before  # type: ignore[misc]
    assert sorted(store.merged) == sorted(set(range(len(numbers))) - kept)
    expected = [row["transaction_id"] for row in log.rows if row["applied"] // 3 > counter]
    assert sorted(store.reports) == expected
