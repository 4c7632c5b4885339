"""For the exercise `fault-survived`: a store that fails on demand, and the pipeline's own scorer on such a store."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Literal

from valkey.exceptions import ConnectionError as ValkeyConnectionError

from serving.decision_log.backpressure import Backpressure
from serving.observability.metrics import Metrics
from serving.recovery.circuit_breaker import CircuitBreaker
from serving.recovery.confirmer import UnconfirmedReports
from serving.recovery.recent_responses import RecentResponses
from serving.recovery.reconciler import Reconciler
from serving.scoring.payment import Payment
from serving.scoring.report import Report
from serving.scoring.scorer import Scorer

Mood = Literal["answers", "takes its time", "raises", "hangs", "takes it and hangs"]


class StoreDownError(ConnectionError):
    """What the store raises while it is down."""


class Store:
    """Histories by customer. Counts its calls (`asked`), and how often it confirmed each payment (`took`)."""

    def __init__(self) -> None:
        self.mood: Mood = "answers"
        self.histories: defaultdict[int, set[int]] = defaultdict(set)
        self.asked = 0
        self.took: Counter[int] = Counter()
        self.before: Callable[[], Awaitable[None]] | None = None

    async def add(self, payment: Any) -> int:
        """Add a payment, as the mood says. Raises `StoreDownError` if the mood is `raises`."""
        self.asked += 1
        if self.before:
            await self.before()
        if self.mood == "raises":
            raise StoreDownError("the store is down")
        history = self.histories[payment.customer]
        if self.mood == "takes its time":
            await asyncio.sleep(0.02)
        if self.mood == "hangs":
            await asyncio.Event().wait()
        history.add(payment.id)
        if self.mood == "takes it and hangs":
            await asyncio.Event().wait()
        self.took[payment.id] += 1
        return len(history)

    def holds(self) -> list[int]:
        """The ids of all payments in it."""
        return sorted(id_ for history in self.histories.values() for id_ in history)


class PipelineScorer:
    """The pipeline's own scorer and recovery on a `Store`.

    `answer` is the learner's file, for its `Payment`, `Answer` and `TIMEOUT_SECONDS`. The other public methods are
    the parts of the online store and the decision log that recovery calls.
    """

    def __init__(self, answer: Any) -> None:
        self.answer, self.store = answer, Store()
        self.records: dict[int, dict[str, Any]] = {}
        metrics = Metrics()
        self.breaker = CircuitBreaker(metrics)
        reports = UnconfirmedReports(max_bytes=1)
        self.reconciler = Reconciler(self.breaker, self, self, RecentResponses(), reports, metrics)
        self.scorer = Scorer(
            SimpleNamespace(current="a champion"),  # type: ignore[arg-type]
            self.breaker,
            SimpleNamespace(score_some=self._with),  # type: ignore[arg-type]
            SimpleNamespace(score_round=self._without),  # type: ignore[arg-type]
            Backpressure(1, metrics),
        )

    async def score(self, id_: int, customer: int) -> Any:
        """The answer to a payment."""
        record = await self.scorer.score(Payment(id_, customer, 0, 100, 0), explain=False)
        return self.answer.Answer(id_, record["count"], record["degraded"])

    async def _add(self, id_: int, customer: int) -> int:
        try:
            async with asyncio.timeout(self.answer.TIMEOUT_SECONDS):
                return await self.store.add(self.answer.Payment(id_, customer))
        except (StoreDownError, TimeoutError) as error:
            raise ValkeyConnectionError from error

    async def _with(self, _: object, payments: Sequence[Payment]) -> list[dict[str, Any]]:
        return [{"count": await self._add(one.transaction_id, one.customer_id), "degraded": False} for one in payments]

    async def _without(self, _: object, payments: Sequence[Payment]) -> list[dict[str, Any]]:
        for one in payments:
            self.records[one.transaction_id] = {
                "transaction_id": one.transaction_id, "customer_id": one.customer_id, "terminal_id": 0,
                "amount": "1.00", "occurred_at": "1970-01-01T00:00:00Z", "applied": 0,
            }  # fmt: skip
        return [{"count": 1, "degraded": True} for _ in payments]

    async def incompatible(self) -> str:
        if self.store.mood != "answers":
            raise ValkeyConnectionError
        return ""

    async def pin_run(self) -> str:
        return "the same"

    async def current_run(self) -> str:
        return "the same"

    async def answers(self, ids: Sequence[int]) -> dict[int, bytes]:
        del ids
        return {}

    async def unanswered(self, ids: Sequence[int]) -> list[int]:
        del ids
        return []

    async def start_recovery(self) -> bytes:
        return b"a token"

    async def finish_recovery(self, token: bytes, *, lost: bool) -> None:
        del token, lost

    async def recovered_run(self) -> str:
        return "the same"

    async def written_to(self) -> None:
        return None

    async def sequence(self) -> int:
        return 0

    async def merge_reports(self, reports: Sequence[Report]) -> None:
        del reports

    async def applied_before_recovery(self) -> None:
        return None

    async def reconciliation_id(self) -> bytes:
        return b"the same"

    async def advance_sequence(self, recorded: int, *, forgotten: bool) -> None:
        del recorded, forgotten

    async def highest(self) -> int:
        return 0

    async def highest_id(self) -> int:
        return 0

    async def may_have_expired(self, highest: int) -> None:
        del highest

    def recovery_lock(self) -> AbstractAsyncContextManager[bool]:
        return nullcontext(True)

    async def merge_decisions(self, recorded: Sequence[tuple[Payment, bytes, int]]) -> list[int]:
        return [await self._add(one.transaction_id, one.customer_id) for one, _, _ in recorded]

    async def find(self, ids: Sequence[int]) -> dict[int, Any]:
        del ids
        return {}

    async def append(self, kept: Sequence[bytes]) -> int:
        return len(kept)

    async def append_reports(self, rows: Sequence[Mapping[str, Any]]) -> None:
        del rows

    async def recorded(self, after: tuple[datetime, int], until: int, limit: int) -> list[Any]:
        del after, until, limit
        return []

    async def reports_after(self, position: tuple[int, int], limit: int) -> list[Report]:
        del position, limit
        return []

    async def reports_since(self, position: tuple[int, int], limit: int) -> list[Report]:
        del position, limit
        return []

    async def numbered(self, after: int, until: int) -> list[int]:
        del after, until
        return []

    async def applied_after(self, number: int, limit: int) -> list[Any]:
        del number, limit
        return []

    async def pending_backfill(self, after: int, limit: int) -> list[dict[str, Any]]:
        return [self.records[id_] for id_ in sorted(self.records) if id_ > after][:limit]

    async def mark_backfilled(self, numbers: Mapping[int, int]) -> None:
        for id_ in numbers:
            del self.records[id_]
