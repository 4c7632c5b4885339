"""Checks a scorer whose store fails, hangs and comes back, as the check decides."""

from __future__ import annotations

import asyncio
import inspect
import random
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Literal

import pytest
from valkey.exceptions import ConnectionError as ValkeyConnectionError

from exercises.expect import Said, expect
from serving.clock import machine_clock
from serving.observability.metrics import Metrics
from serving.recovery.circuit_breaker import CircuitBreaker
from serving.recovery.recent_answers import RecentAnswers
from serving.recovery.reconciler import Reconciler
from serving.scoring.payment import Payment as LinePayment
from serving.scoring.scorer import Scorer as LineScorer

SECONDS = 2.0
"""What an answer may take here; the budget is a quarter of one, and a busy machine is given more."""
NOTHING = Said(f"no answer within {SECONDS:.0f} s")
NOT_ASYNC = Said("something that cannot be awaited")
Mood = Literal["answers", "takes its time", "raises", "hangs", "takes it and hangs"]
Mistakes = Sequence[tuple[Any, str]]


class StoreAwayError(ConnectionError):
    """What the check's own store raises while it is away."""


class Store:
    """Histories by customer; how often it was asked, and how often it took each payment and said so."""

    def __init__(self) -> None:
        self.mood: Mood = "answers"
        self.histories: defaultdict[int, set[int]] = defaultdict(set)
        self.asked = 0
        self.took: Counter[int] = Counter()
        self.before: Callable[[], Awaitable[None]] | None = None

    async def add(self, payment: Any) -> int:
        """As the stub says of it."""
        self.asked += 1
        if self.before:
            await self.before()
        if self.mood == "raises":
            raise StoreAwayError("the store is away")
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


class World:
    """The learner's scorer on a store of the check's."""

    def __init__(self, answer: Any) -> None:
        kind = answer.Scorer
        missing = [name for name in ("__init__", "score", "mend") if not callable(vars(kind).get(name))]
        expect("the methods that Scorer lacks", missing, [], "Write all three: its docstring says what each does.")
        self.answer, self.store = answer, Store()
        self.scorer = kind(self.store)

    async def came(self, call: object) -> object:
        """What came of a call of the learner's; words where it was nothing, or an exception of the store's."""
        if not inspect.isawaitable(call):
            return NOT_ASYNC
        task = asyncio.ensure_future(call)
        await asyncio.wait({task}, timeout=SECONDS)
        if not task.done():
            task.cancel()
            return NOTHING
        error = task.exception()
        if isinstance(error, StoreAwayError | TimeoutError):
            return Said(f"{'ConnectionError' if isinstance(error, StoreAwayError) else 'TimeoutError'}, raised")
        return task.result()

    async def scored(self, id_: int, customer: int = 1) -> object:
        """What came of a payment."""
        return await self.came(self.scorer.score(self.answer.Payment(id_, customer)))

    async def score(
        self,
        id_: int,
        count: int,
        degraded: bool,
        when: str,
        otherwise: str,
        mistakes: Mistakes = (),
        customer: int = 1,
    ) -> None:
        """Compare what comes of a payment."""
        came = await self.scored(id_, customer)
        self.compare(id_, came, count, degraded, when, otherwise, mistakes)

    def compare(
        self, id_: int, came: object, count: int, degraded: bool, when: str, otherwise: str, mistakes: Mistakes = ()
    ) -> None:
        """Compare what came of a payment."""
        expected = self.answer.Answer(id_, count, degraded)
        called = f"score(payment {id_}), {when}"
        expect(called, came, expected, otherwise, [*mistakes, *SCORE_MISTAKES], same=lambda one, other: one == other)

    async def mend(self, back: bool, when: str, otherwise: str) -> None:
        """Compare what mend says."""
        came = await self.came(self.scorer.mend())
        expect(f"mend(), {when}", came, back, otherwise, MEND_MISTAKES)


SCORE_MISTAKES: Mistakes = [
    (lambda came: came == NOT_ASYNC, "score is awaited by its callers: define it with `async def`."),
    (
        lambda came: came == NOTHING,
        "It waits for a store that never answers, and the till waits with it. Give the store a time limit.",
    ),
    (
        lambda came: isinstance(came, Said),
        "The store's failure becomes the caller's: this would be a 500. A payment can be answered without its history, "
        "and says then that it is degraded.",
    ),
    (
        lambda came: inspect.isawaitable(getattr(came, "count", came)),
        "What store.add gives is to be awaited first: it is a promise of a count, not a count.",
    ),
    (
        lambda came: not hasattr(came, "degraded"),
        "score gives an Answer: the payment's id, a count, and degraded or not.",
    ),
]
MEND_MISTAKES: Mistakes = [
    (lambda came: came == NOT_ASYNC, "mend is awaited by the background task: define it with `async def`."),
    (
        lambda came: came == NOTHING,
        "It waits for a store that never answers. Nobody would notice when it is back: set a time limit here too.",
    ),
    (
        lambda came: isinstance(came, Said),
        "mend lets the failure out. The background task that calls it would end, and the store never be used again.",
    ),
    (lambda came: came is None, "mend says whether the store is in use again, True or False; here it gives nothing."),
]
LOST = "A payment that was scored without the store is not in it: it is lost, and every later count is too small. "
WHOLE = "The store answers: its count is the answer, and it is not degraded."
ALONE = "Without the store a payment counts itself alone, and is degraded."


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test's coroutine in a loop of its own."""
    asyncio.run(test())


def left_again(came: object) -> bool:
    """Tells a degraded answer."""
    return bool(getattr(came, "degraded", False))


def test_whole(answer: Any) -> None:
    async def test() -> None:
        world = World(answer)
        await world.score(1, 1, False, "the store answers", WHOLE)
        await world.score(2, 2, False, "the store answers", WHOLE)
        await world.score(3, 1, False, "the first of another customer", WHOLE, customer=2)
        says = "The store is asked once for each payment: what it answers is the count."
        expect("how often the store was asked for three payments", world.store.asked, 3, says)
        world.store.mood = "takes its time"
        slow = "The store answers well within TIMEOUT_SECONDS, if not at once: that is its answer."
        await world.score(4, 3, False, "the store takes a fiftieth of a second", slow)

    run(test)


@pytest.mark.parametrize("mood", ["raises", "hangs"])
def test_away(answer: Any, mood: Mood) -> None:
    async def test() -> None:
        world = World(answer)
        await world.score(1, 1, False, "the store answers", WHOLE)
        world.store.mood = mood
        await world.score(2, 1, True, f"the store {mood}", ALONE)
        asked = world.store.asked
        for id_ in range(3, 8):
            await world.score(id_, 1, True, f"the store {mood} since payment 2", ALONE)
        says = (
            "Each request asks the store again, and waits again as long as the limit allows: all callers get slow, and "
            "a store that struggles to come back is given more to do. Remember that it is away, until mend has been."
        )
        expect("how often it was asked for 5 payments since", world.store.asked - asked, 0, says)
        not_back = (
            "The store is not back, and was taken for back: nothing was put in, which would have told. What is scored "
            "without the store is owed to it. Keep it until it is put in."
        )
        if mood == "raises":
            slow: tuple[Any, str] = (
                lambda came: came == NOTHING,
                "mend tries again and again by itself, or sleeps. It tries once, and the background calls it again.",
            )
            expect(
                f"mend(), the store {mood}",
                await world.came(world.scorer.mend()),
                False,
                not_back,
                [slow, *MEND_MISTAKES],
            )
        await world.mend(False, f"the store {mood} still", not_back)
        await world.score(8, 1, True, f"the store {mood} still, after a mend", ALONE)

    run(test)


def test_back(answer: Any) -> None:
    async def test() -> None:
        world = World(answer)
        await world.score(1, 1, False, "the store answers", WHOLE)
        world.store.mood = "raises"
        for id_ in (2, 3, 4):
            await world.score(id_, 1, True, "the store is away", ALONE)
        world.store.mood = "answers"
        await world.mend(True, "the store is back", "The store answers, and everything can be put in.")
        expect(
            "what the store holds after mend", world.store.holds(), [1, 2, 3, 4], LOST + "Keep it until it is put in."
        )
        forever = (
            left_again,
            "It stays degraded for ever: mend found the store back and whole, and now it is to be asked again.",
        )
        await world.score(5, 5, False, "the store is back and mended", WHOLE, [forever])

    run(test)


def test_once(answer: Any) -> None:
    async def test() -> None:
        world = World(answer)
        says = (
            "A payment was put in more than once. Forget each when the store has taken it, and keep a payment that the "
            "caller sends again (the same id) once."
        )
        for id_ in (1, 3):
            world.store.mood = "raises"
            await world.score(id_, 1, True, "the store is away", ALONE)
            await world.score(id_, 1, True, "sent again by the caller, the store still away", ALONE)
            await world.score(id_ + 1, 1, True, "the store is away", ALONE)
            world.store.mood = "answers"
            await world.mend(True, "the store is back", "The store answers, and everything can be put in.")
        expect("what the store holds after two faults", world.store.holds(), [1, 2, 3, 4], LOST)
        often = dict(world.store.took)
        expect("how often each payment was put in, in two faults", often, dict.fromkeys(range(1, 5), 1), says)

    run(test)


@pytest.mark.parametrize("mood", ["raises", "takes it and hangs"])
def test_away_again_in_the_midst_of_a_mend(answer: Any, mood: Mood) -> None:
    async def test() -> None:
        world = World(answer)
        world.store.mood = "raises"
        for id_ in (1, 2, 3):
            await world.score(id_, 1, True, "the store is away", ALONE)
        world.store.mood, first = "answers", world.store.asked + 1

        async def go_away() -> None:
            if world.store.asked > first:
                world.store.mood = mood

        world.store.before = go_away
        says = "The store took one payment of three and was gone: it is not whole, and must not be used yet."
        await world.mend(False, f"the store takes the first of three payments, then {mood}", says)
        await world.score(4, 1, True, "after a mend that did not come to its end", ALONE)
        world.store.before, world.store.mood = None, "answers"
        await world.mend(True, "the store is back for good", "The store answers, and everything can be put in.")
        lost = LOST + "A mend failed in its midst, and what it had not put in was forgotten: forget each when it is in."
        expect("what the store holds then", world.store.holds(), [1, 2, 3, 4], lost)
        doubled = "What the store had taken was put in once more: forget each as soon as it is in, not all at the end."
        expect("how often each was put in", dict(world.store.took), dict.fromkeys(range(1, 5), 1), doubled)

    run(test)


def test_payments_in_the_midst_of_a_mend(answer: Any) -> None:
    async def test() -> None:
        world = World(answer)
        world.store.mood = "raises"
        for id_ in (1, 2):
            await world.score(id_, 1, True, "the store is away", ALONE)
        world.store.mood = "answers"
        requests: list[asyncio.Task[object]] = []
        seen: dict[int, object] = {}

        async def one_more() -> None:
            if len(requests) < 2:
                # Another payment comes when mend puts one in, not when that one is put in itself.
                world.store.before = None
                id_ = 10 + len(requests)
                requests.append(asyncio.ensure_future(world.came(world.scorer.score(answer.Payment(id_, 1)))))
                for _ in range(20):
                    await asyncio.sleep(0)
                request = requests[id_ - 10]
                seen[id_] = request.result() if request.done() else Said("no answer before mend had ended")
                world.store.before = one_more

        world.store.before = one_more
        await world.mend(True, "the store is back, and two payments come meanwhile", "The store answers.")
        waits: tuple[Any, str] = (
            lambda came: isinstance(came, Said),
            "It waits for mend to end, and there may be very much to put in. Until then it is answered without.",
        )
        early: tuple[Any, str] = (
            lambda came: getattr(came, "degraded", None) is False,
            "The store was taken up again too early: what was scored meanwhile is not all in it, and its counts are "
            "too small, with nothing that says so. First put in everything, then use it.",
        )
        for id_, came in sorted(seen.items()):
            world.compare(id_, came, 1, True, "while mend is at work", ALONE, [waits, early])
        says = LOST + "It came while mend was at work: look again, after each wait, whether anything is left."
        expect("what the store holds after mend", world.store.holds(), [1, 2, 10, 11], says)
        await world.score(12, 5, False, "the store is back and mended", WHOLE)

    run(test)


def test_a_payment_at_any_moment_of_a_mend(answer: Any) -> None:
    async def test() -> None:
        for turns in range(40):
            world = World(answer)
            world.store.mood = "raises"
            for id_ in (1, 2):
                await world.score(id_, 1, True, "the store is away", ALONE)
            world.store.mood = "answers"
            mend = asyncio.ensure_future(world.came(world.scorer.mend()))
            for _ in range(turns):
                await asyncio.sleep(0)
            await world.scored(10)
            expect("mend(), the store is back, and a payment comes meanwhile", await mend, True, "The store answers.")
            says = (
                "The store is in use, and a payment is not in it: it came after the last look at what is left, and "
                "before the store was used again. Let nothing be awaited between these two."
            )
            expect("what the store holds after mend said True", world.store.holds(), [1, 2, 10], says)

    run(test)


def test_a_mend_of_many(answer: Any) -> None:
    async def test() -> None:
        world = World(answer)
        world.store.mood = "raises"
        for id_ in range(1, 31):
            await world.score(id_, 1, True, "the store is away", ALONE)
        world.store.mood = "takes its time"
        says = (
            "It takes long, for 30 are left, and each is put in within the limit. "
            "The limit is for each call, not for mend as a whole."
        )
        await world.mend(True, "30 payments are left, and the store takes 0.02 s for each", says)

    run(test)


def test_many_at_once(answer: Any) -> None:
    async def test() -> None:
        world = World(answer)
        world.store.mood = "takes it and hangs"
        came = await asyncio.gather(*(world.scored(id_) for id_ in range(1, 21)))
        for id_, one in enumerate(came, 1):
            queue: tuple[Any, str] = (
                lambda came: came == NOTHING,
                "They wait one after another, each as long as the limit allows: let none wait for another's call.",
            )
            world.compare(id_, one, 1, True, "one of 20 at once when the store begins to hang", ALONE, [queue])
        world.store.mood = "answers"
        await world.mend(True, "the store is back", "The store answers, and everything can be put in.")
        expect("what the store holds after mend", world.store.holds(), list(range(1, 21)), LOST)
        await world.score(21, 21, False, "the store is back and mended", WHOLE)

    run(test)


class Line:
    """The line's own scorer, on a store of the check's: its two ways to an answer and its stores are stand-ins."""

    def __init__(self, answer: Any) -> None:
        self.answer, self.store = answer, Store()
        self.records: dict[int, dict[str, Any]] = {}
        metrics = Metrics()
        self.breaker = CircuitBreaker(metrics)
        self.reconciler = Reconciler(self.breaker, self, self, RecentAnswers(), machine_clock, metrics)
        self.scorer = LineScorer(
            SimpleNamespace(current="a champion"),  # type: ignore[arg-type]
            self.breaker,
            SimpleNamespace(score_round=self._with),  # type: ignore[arg-type]
            SimpleNamespace(score_round=self._without),  # type: ignore[arg-type]
        )

    async def score(self, id_: int, customer: int) -> Any:
        """The answer to a payment."""
        record = await self.scorer.score(LinePayment(id_, customer, 0, 100, 0), explain=False)
        return self.answer.Answer(id_, record["count"], record["degraded"])

    async def _add(self, id_: int, customer: int) -> int:
        try:
            async with asyncio.timeout(self.answer.TIMEOUT_SECONDS):
                return await self.store.add(self.answer.Payment(id_, customer))
        except (StoreAwayError, TimeoutError) as error:
            raise ValkeyConnectionError from error

    async def _with(self, _: object, payments: Sequence[LinePayment]) -> list[dict[str, Any]]:
        return [{"count": await self._add(one.transaction_id, one.customer_id), "degraded": False} for one in payments]

    async def _without(self, _: object, payments: Sequence[LinePayment]) -> list[dict[str, Any]]:
        for one in payments:
            self.records[one.transaction_id] = {
                "transaction_id": one.transaction_id, "customer_id": one.customer_id, "terminal_id": 0,
                "amount": "1.00", "occurred_at": "1970-01-01T00:00:00Z", "applied": 0,
            }  # fmt: skip
        return [{"count": 1, "degraded": True} for _ in payments]

    # What recovery asks of the online store and the decision log.

    async def incompatible(self) -> str:
        if self.store.mood != "answers":
            raise ValkeyConnectionError
        return ""

    async def accept_run(self) -> str:
        return "the same"

    async def present_run(self) -> str:
        return "the same"

    async def unanswered(self, ids: Sequence[int]) -> list[int]:
        del ids
        return []

    async def mark_adopted(self) -> None:
        return None

    async def known_to(self) -> None:
        return None

    async def forget_known_to(self) -> None:
        return None

    async def adoption(self) -> bytes:
        return b"the same"

    async def raise_applied(self, recorded: int, *, forgotten: bool) -> None:
        del recorded, forgotten

    async def highest(self) -> int:
        return 0

    def repair_lock(self) -> AbstractAsyncContextManager[bool]:
        return nullcontext(True)

    async def adopt(self, recorded: Sequence[tuple[LinePayment, bytes, int]]) -> list[int]:
        return [await self._add(one.transaction_id, one.customer_id) for one, _, _ in recorded]

    async def find(self, ids: Sequence[int]) -> dict[int, Any]:
        del ids
        return {}

    async def append(self, kept: Sequence[bytes]) -> int:
        return len(kept)

    async def recorded(self, after: tuple[datetime, int], until: datetime, limit: int) -> list[Any]:
        del after, until, limit
        return []

    async def applied_after(self, number: int, limit: int) -> list[Any]:
        del number, limit
        return []

    async def pending_backfill(self, after: int, limit: int) -> list[dict[str, Any]]:
        return [self.records[id_] for id_ in sorted(self.records) if id_ > after][:limit]

    async def mark_backfilled(self, numbers: Mapping[int, int]) -> None:
        for id_ in numbers:
            del self.records[id_]


def test_agrees_with_production(answer: Any) -> None:
    async def test() -> None:
        rng = random.Random(11)
        world, line = World(answer), Line(answer)
        assert await line.reconciler.try_recover()
        for id_ in range(1, 121):
            if rng.random() < 0.2:
                mood: Mood = rng.choice(["answers", "answers", "raises", "raises", "takes it and hangs"])
                world.store.mood = line.store.mood = mood
            customer = rng.randrange(3)
            right = await line.score(id_, customer)
            says = "serving/scoring/scorer.py answers otherwise after the same faults."
            when = f"in a long run; the store {world.store.mood}"
            await world.score(id_, right.count, right.degraded, when, says, customer=customer)
            if line.breaker.problem and rng.random() < 0.4:
                back = await line.reconciler.try_recover()
                await world.mend(back, when, "serving/recovery/reconciler.py says otherwise.")
        world.store.mood = line.store.mood = "answers"
        if line.breaker.problem:
            back = await line.reconciler.try_recover()
            await world.mend(back, "the store is back for good", "serving/recovery/reconciler.py says otherwise.")
        lacks = sorted(set(line.store.holds()) - set(world.store.holds()))
        expect("the payments that the store lacks at the end", lacks, [], LOST)

    run(test)
