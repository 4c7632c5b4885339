"""Score payments with their histories from the online store, in two round trips for any number of payments."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from itertools import takewhile
from typing import Final, ParamSpec, TypeVar

import psycopg

from serving.clock import Clock
from serving.deadline import Deadline
from serving.decision_log.protocol import FindableLog
from serving.fair_queuing import FairTurns
from serving.model.champion import Champion
from serving.observability.metrics import Metrics
from serving.observability.transition_logger import TransitionLogger
from serving.online_store.protocol import Answered, AskLog, Claim, Claimed, Conflict, OnlineStore
from serving.recovery.recent_responses import RecentResponses
from serving.retries import LOG_SECONDS
from serving.scoring.decision_records import Record, make_records, pack, unpack
from serving.scoring.features import compute_features
from serving.scoring.payment import Payment

CHUNK: Final = 250
"""Payments of a batch in one round: bounds the memory for their histories, and how long others wait for Valkey."""
CHUNKS_AT_ONCE: Final = 2
"""Chunks of all batches in progress: one computes while the other waits for Valkey."""
ASK_SECONDS: Final = 0.3
"""How long a round waits for the decision log."""
LONG_BYTES: Final = 512 * 1024
"""Total size of a round's histories above which its arithmetic is moved off the event loop."""
P = ParamSpec("P")
T = TypeVar("T")


class OnlineScorer:
    """Scores with history. Methods raise `ValkeyError`, and `OnlineStoreUnavailableError`."""

    def __init__(
        self, store: OnlineStore, log: FindableLog, recent: RecentResponses, clock: Clock, metrics: Metrics
    ) -> None:
        """`log` is queried for the answers to payments so old that the store may have dropped them."""
        self._store = store
        self._log = log
        self._recent = recent
        self._clock = clock
        self._metrics = metrics
        self._chunks = FairTurns(CHUNKS_AT_ONCE)
        self._ask_log_at = -math.inf
        self._transitions = TransitionLogger("old ids not checked", recovered="old ids checked again")

    async def score_some(self, champion: Champion, payments: Sequence[Payment]) -> list[Record | Conflict]:
        """The answers to the first payments, at least one; the fewer, the longer their histories.

        So nobody waits for the long histories of payments that share a round with theirs.
        """
        self._metrics.rounds.observe(len(payments))
        answers = await self._score_part(champion, list(dict.fromkeys(payments)), threaded=False)
        answered = list(takewhile(answers.__contains__, payments))
        self._metrics.repeated.inc(len(answered) - len(answers))
        return [answers[payment] for payment in answered]

    async def score_round(
        self, champion: Champion, payments: Sequence[Payment], turn: asyncio.Lock | None = None
    ) -> list[Record | Conflict]:
        """The answers to all payments of a batch, in order; in several parts if histories are long.

        `turn` is held while payments are claimed.
        """
        left = sorted(dict.fromkeys(payments), key=lambda payment: payment.position)
        self._metrics.repeated.inc(len(payments) - len(left))
        answers: dict[Payment, Record | Conflict] = {}
        async with AsyncExitStack() as turns:
            if turn:
                await turns.enter_async_context(turn)
            while left:
                # Threaded, so that single payments do not wait for a batch's arithmetic.
                answers |= await self._score_part(champion, left, threaded=True, all_claimed=turns.aclose)
                left = [payment for payment in left if payment not in answers]
        return [answers[payment] for payment in payments]

    async def _score_part(
        self,
        champion: Champion,
        payments: Sequence[Payment],
        threaded: bool,
        all_claimed: Callable[[], Awaitable[None]] | None = None,
    ) -> dict[Payment, Record | Conflict]:
        """Claim the first payments, compute their features, score them and store the answers.

        Each payment is asked once: the second claim would see what was claimed in between. A conflict affects only its
        own payment. `threaded` moves the arithmetic off the event loop.
        """
        step = self._metrics.step
        with step("claim").time():
            claimed = await self._claim(payments)
        if all_claimed and len(claimed) == len(payments):
            await all_claimed()
        asked = payments[: len(claimed)]
        claims, records = [one for one in claimed if isinstance(one, Claim)], list[Record]()
        if claims:
            run = asyncio.to_thread if threaded or _long(claims) else _run
            with step("features").time():
                computed = await run(compute_features, claims, champion.bundle.bank_zone)
            with step("score").time():
                scores = await run(champion.scores, computed.matrix)
                records = await run(make_records, champion, claims, computed, scores, self._clock())
            self._metrics.late.inc(int(computed.late.sum()))
            self._metrics.degraded.inc(int(computed.degraded.sum()))
        offered = [(claim.payment, pack(record)) for claim, record in zip(claims, records, strict=True)]
        with step("store").time():
            stored = await self._store.store_responses(offered)
        return dict(zip(asked, self._answers(claimed, records, offered, stored), strict=True))

    async def _claim(self, payments: Sequence[Payment]) -> list[Claimed]:
        claimed = await self._store.claim(payments)
        if isinstance(claimed, AskLog):
            await self._restore(claimed.payments)
            claimed = await self._store.claim(payments, log_asked=True)
        assert not isinstance(claimed, AskLog)
        return claimed

    async def _restore(self, payments: Sequence[Payment]) -> None:
        """Write the recorded answers to payments into the store again. Without the log the payments count as new."""
        for start in range(0, len(payments), CHUNK):
            ids = [payment.transaction_id for payment in payments[start : start + CHUNK]]
            if time.monotonic() < self._ask_log_at:
                self._metrics.unchecked.inc(len(ids))
                continue
            try:
                async with Deadline(ASK_SECONDS):
                    found = await self._log.find(ids)
            except (psycopg.Error, OSError) as error:
                self._ask_log_at = time.monotonic() + LOG_SECONDS
                self._metrics.unchecked.inc(len(ids))
                self._transitions.update(f"{type(error).__name__}: {error}".strip())
                continue
            self._transitions.update("")
            if found:
                await self._store.merge_decisions(await asyncio.to_thread(_as_recorded, found.values()))

    def _answers(
        self,
        claimed: Sequence[Claimed],
        records: Sequence[Record],
        offered: Sequence[tuple[Payment, bytes]],
        stored: Sequence[bytes],
    ) -> Iterator[Record | Conflict]:
        """The answer to each payment asked: a new one, or the one that was stored first."""
        made = zip(records, offered, stored, strict=True)
        for one in claimed:
            if isinstance(one, Conflict):
                yield one
            elif isinstance(one, Answered):
                self._metrics.repeated.inc()
                yield unpack(one.answer)
            else:
                record, (payment, mine), first = next(made)
                self._recent.add(payment.transaction_id, first)
                # Another answer may have been stored meanwhile: the first counts.
                if first is mine:
                    self._metrics.decision(record["decision"]).inc()
                else:
                    self._metrics.repeated.inc()
                yield record if first is mine else unpack(first)

    async def reserve(self, payments: Sequence[Payment]) -> int | None:
        """Reserve all these ids or none; the index of a payment that conflicts, None if none does."""
        reserved = await self._store.reserve(payments)
        if isinstance(reserved, AskLog):
            await self._restore(reserved.payments)
            reserved = await self._store.reserve(payments, log_asked=True)
        assert not isinstance(reserved, AskLog)
        return reserved

    async def score_all(self, champion: Champion, payments: Sequence[Payment]) -> list[Record | Conflict]:
        """Score the payments of a batch, each id once, in rounds; their answers, in order."""
        chunks = enumerate(payments[start : start + CHUNK] for start in range(0, len(payments), CHUNK))
        answers: dict[int, list[Record | Conflict]] = {}
        # Chunks are claimed in order, since each must see the ones before; the next is claimed while one is computed.
        turn = asyncio.Lock()

        async def process_chunks() -> None:
            for number, chunk in chunks:
                async with self._chunks:
                    answers[number] = await self.score_round(champion, chunk, turn)

        tasks = [asyncio.create_task(process_chunks()) for _ in range(CHUNKS_AT_ONCE)]
        try:
            await asyncio.gather(*tasks)
        finally:
            # After an error the caller answers in another way: no task may go on storing answers.
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return [answer for number in sorted(answers) for answer in answers[number]]


def _as_recorded(records: Iterable[Record]) -> list[tuple[Payment, bytes, int]]:
    return [(Payment.recorded(record), pack(record), record["applied"]) for record in records]


def _long(claims: Sequence[Claim]) -> bool:
    return sum(len(claim.customer) + len(claim.terminal) for claim in claims) > LONG_BYTES


async def _run(work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """`asyncio.to_thread` without the thread."""
    return work(*args, **kwargs)
