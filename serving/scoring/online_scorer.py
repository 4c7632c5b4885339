"""Score payments with their histories from the online store, in two round trips for any number of payments."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Final, ParamSpec, TypeVar

from serving.clock import Clock
from serving.model.champion import Champion
from serving.observability.metrics import Metrics
from serving.online_store.protocol import Answered, Claim, Conflict, OnlineStore
from serving.recovery.recent_answers import RecentAnswers
from serving.scoring.decision_records import Record, make_records, pack, unpack
from serving.scoring.features import compute_features
from serving.scoring.payment import Payment

CHUNK: Final = 250
"""Payments of a batch in one round: bounds the memory for their histories, and how long others wait for Valkey."""
CHUNKS_AT_ONCE: Final = 2
"""Chunks of a batch in progress: one computes while the other waits for Valkey."""
P = ParamSpec("P")
T = TypeVar("T")


class OnlineScorer:
    """Scores with history. Methods raise `ValkeyError`, and `OnlineStoreUnavailableError`."""

    def __init__(self, store: OnlineStore, recent: RecentAnswers, clock: Clock, metrics: Metrics) -> None:
        self._store = store
        self._recent = recent
        self._clock = clock
        self._metrics = metrics

    async def score_round(
        self, champion: Champion, payments: Sequence[Payment], turn: asyncio.Lock | None = None, threaded: bool = False
    ) -> list[Record | Conflict]:
        """One round: claim, features, score, store. An answer for each payment, in order; a conflict spares the others.

        A payment that is in the round twice is claimed once: the second claim would see what was claimed in between.
        `turn` is held while payments are claimed; `threaded` moves the arithmetic off the event loop.
        """
        if not threaded:
            self._metrics.rounds.observe(len(payments))
        run = asyncio.to_thread if threaded else _run
        step, records = self._metrics.steps.labels, list[Record]()
        asked = list(dict.fromkeys(payments))
        async with turn or nullcontext():
            with step("claim").time():
                claimed = await self._store.claim(asked)
        claims = [one for one in claimed if isinstance(one, Claim)]
        if claims:
            with step("features").time():
                computed = await run(compute_features, claims)
            with step("score").time():
                scores = await run(champion.scores, computed.matrix)
                records = await run(make_records, champion, claims, computed, scores, self._clock())
            self._metrics.late.inc(int(computed.late.sum()))
            self._metrics.degraded.inc(int(computed.degraded.sum()))
        offered = [pack(record) for record in records]
        with step("store").time():
            stored = await self._store.store_answers([(c.payment, o) for c, o in zip(claims, offered, strict=True)])
        made, answers = iter(zip(records, offered, stored, strict=True)), list[Record | Conflict]()
        for one in claimed:
            if isinstance(one, Conflict):
                answers.append(one)
            elif isinstance(one, Answered):
                self._metrics.repeated.inc()
                answers.append(unpack(one.answer))
            else:
                record, mine, first = next(made)
                self._recent.add(one.payment.transaction_id, first)
                # Another answer may have been stored meanwhile: the first counts.
                if first is mine:
                    self._metrics.decisions.labels(record["decision"]).inc()
                else:
                    self._metrics.repeated.inc()
                answers.append(record if first is mine else unpack(first))
        self._metrics.repeated.inc(len(payments) - len(asked))
        found = dict(zip(asked, answers, strict=True))
        return [found[payment] for payment in payments]

    async def reserve(self, payments: Sequence[Payment]) -> int | None:
        """Reserve all these ids or none; the index of a payment that conflicts, None if none does."""
        return await self._store.reserve(payments)

    async def score_all(self, champion: Champion, payments: Sequence[Payment]) -> list[Record | Conflict]:
        """Score the payments of a batch, each id once, in rounds; their answers, in order."""
        chunks = enumerate(payments[start : start + CHUNK] for start in range(0, len(payments), CHUNK))
        answers: dict[int, list[Record | Conflict]] = {}
        # Chunks are claimed in order, since each must see the ones before; the next is claimed while one is computed.
        turn = asyncio.Lock()

        async def work_off() -> None:
            for number, chunk in chunks:
                # Threaded, so that single payments do not wait for a batch's arithmetic.
                answers[number] = await self.score_round(champion, chunk, turn, threaded=True)

        tasks = [asyncio.create_task(work_off()) for _ in range(CHUNKS_AT_ONCE)]
        try:
            await asyncio.gather(*tasks)
        finally:
            # After an error the caller answers in another way: no task may go on storing answers.
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return [answer for number in sorted(answers) for answer in answers[number]]


async def _run(work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """`asyncio.to_thread` without the thread."""
    return work(*args, **kwargs)
