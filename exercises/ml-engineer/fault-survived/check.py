"""Checks a scorer while its store fails, hangs and comes back."""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from exercises.expect import Description, expect
from exercises.faulty_store import Mood, PipelineScorer, Store, StoreDownError

SECONDS = 2.0
"""How long an answer may take; more than the budget of 0.25, to allow for a busy machine."""
NOTHING = Description(f"no answer within {SECONDS:.0f} s")
NOT_ASYNC = Description("something that cannot be awaited")
Mistakes = Sequence[tuple[Any, str]]


class World:
    """The learner's scorer with the check's store."""

    def __init__(self, answer: Any) -> None:
        kind = answer.Scorer
        missing = [name for name in ("__init__", "score", "try_recover") if not callable(vars(kind).get(name))]
        expect("the methods that Scorer lacks", missing, [], "Write all three; the docstring describes them.")
        self.answer, self.store = answer, Store()
        self.scorer = kind(self.store)

    async def result_of(self, awaitable: object) -> object:
        """The result of a learner's call; a description if there is none, or if a store's exception escapes."""
        if not inspect.isawaitable(awaitable):
            return NOT_ASYNC
        task = asyncio.ensure_future(awaitable)
        await asyncio.wait({task}, timeout=SECONDS)
        if not task.done():
            task.cancel()
            return NOTHING
        error = task.exception()
        if isinstance(error, StoreDownError | TimeoutError):
            return Description(f"{'ConnectionError' if isinstance(error, StoreDownError) else 'TimeoutError'}, raised")
        return task.result()

    async def scored(self, id_: int, customer: int = 1) -> object:
        """The result of scoring a payment."""
        return await self.result_of(self.scorer.score(self.answer.Payment(id_, customer)))

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
        """Score a payment and compare the result."""
        actual = await self.scored(id_, customer)
        self.compare(id_, actual, count, degraded, when, otherwise, mistakes)

    def compare(
        self, id_: int, actual: object, count: int, degraded: bool, when: str, otherwise: str, mistakes: Mistakes = ()
    ) -> None:
        """Compare the result of scoring a payment."""
        expected = self.answer.Answer(id_, count, degraded)
        call = f"score(payment {id_}), {when}"
        expect(call, actual, expected, otherwise, [*mistakes, *SCORE_MISTAKES], same=lambda one, other: one == other)

    async def try_recover(self, back: bool, when: str, otherwise: str) -> None:
        """Compare the result of try_recover."""
        actual = await self.result_of(self.scorer.try_recover())
        expect(f"try_recover(), {when}", actual, back, otherwise, RECOVERY_MISTAKES)


SCORE_MISTAKES: Mistakes = [
    (lambda actual: actual == NOT_ASYNC, "score is awaited by its callers: define it with `async def`."),
    (
        lambda actual: actual == NOTHING,
        "It waits for a store that never answers, and the caller waits too. Put a timeout on the call.",
    ),
    (
        lambda actual: isinstance(actual, Description),
        "The store's error reaches the caller, as a status 500. Score the payment without its history, and mark the "
        "answer as degraded.",
    ),
    (
        lambda actual: inspect.isawaitable(getattr(actual, "count", actual)),
        "Await store.add: it returns a coroutine, not a count.",
    ),
    (
        lambda actual: not hasattr(actual, "degraded"),
        "Return an Answer: the payment's id, a count, and whether it is degraded.",
    ),
]
RECOVERY_MISTAKES: Mistakes = [
    (lambda actual: actual == NOT_ASYNC, "try_recover is awaited by the background task: define it with `async def`."),
    (
        lambda actual: actual == NOTHING,
        "It waits for a store that never answers, so recovery never happens: use a timeout here too.",
    ),
    (
        lambda actual: isinstance(actual, Description),
        "try_recover raises. The background task that calls it would end, and the store would never be used again.",
    ),
    (
        lambda actual: actual is None,
        "try_recover returned None: return whether the store is in use again, True or False.",
    ),
]
LOST = "A payment that was scored without the store is missing in it: it is lost, and every later count is too low. "
FROM_STORE = "The store answers: return its count, not degraded."
ALONE = "Without the store, the count is 1 and the answer is degraded."


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test's coroutine in a loop of its own."""
    asyncio.run(test())


def left_again(actual: object) -> bool:
    """Whether an answer is degraded."""
    return bool(getattr(actual, "degraded", False))


def test_up(answer: Any) -> None:
    async def test() -> None:
        world = World(answer)
        await world.score(1, 1, False, "the store answers", FROM_STORE)
        await world.score(2, 2, False, "the store answers", FROM_STORE)
        await world.score(3, 1, False, "the first of another customer", FROM_STORE, customer=2)
        says = "Call the store once for each payment; its result is the count."
        expect("calls of the store for three payments", world.store.asked, 3, says)
        world.store.mood = "takes its time"
        slow = "The store answers within TIMEOUT_SECONDS: use its answer."
        await world.score(4, 3, False, "the store takes a fiftieth of a second", slow)

    run(test)


@pytest.mark.parametrize("mood", ["raises", "hangs"])
def test_down(answer: Any, mood: Mood) -> None:
    async def test() -> None:
        world = World(answer)
        await world.score(1, 1, False, "the store answers", FROM_STORE)
        world.store.mood = mood
        await world.score(2, 1, True, f"the store {mood}", ALONE)
        asked = world.store.asked
        for id_ in range(3, 8):
            await world.score(id_, 1, True, f"the store {mood} since payment 2", ALONE)
        says = (
            "Each request calls the store again and waits for the timeout: all callers get slow, and a recovering "
            "store gets more load. Remember that it is down, until try_recover succeeds."
        )
        expect("calls of the store for 5 payments since", world.store.asked - asked, 0, says)
        not_back = (
            "The store is still down, but counts as recovered: nothing was backfilled, which would have shown it. Keep "
            "payments that were scored without the store until they are backfilled."
        )
        if mood == "raises":
            slow: tuple[Any, str] = (
                lambda actual: actual == NOTHING,
                "try_recover retries or sleeps. Try once; the background task calls it again.",
            )
            expect(
                f"try_recover(), the store {mood}",
                await world.result_of(world.scorer.try_recover()),
                False,
                not_back,
                [slow, *RECOVERY_MISTAKES],
            )
        await world.try_recover(False, f"the store {mood} still", not_back)
        await world.score(8, 1, True, f"the store {mood} still, after try_recover", ALONE)

    run(test)


def test_back(answer: Any) -> None:
    async def test() -> None:
        world = World(answer)
        await world.score(1, 1, False, "the store answers", FROM_STORE)
        world.store.mood = "raises"
        for id_ in (2, 3, 4):
            await world.score(id_, 1, True, "the store is down", ALONE)
        world.store.mood = "answers"
        await world.try_recover(True, "the store is back", "The store is up, so everything can be backfilled.")
        expect(
            "what the store holds after try_recover",
            world.store.holds(),
            [1, 2, 3, 4],
            LOST + "Keep it until it is backfilled.",
        )
        forever = (
            left_again,
            "It stays degraded: try_recover succeeded, so use the store again.",
        )
        await world.score(5, 5, False, "the store has recovered", FROM_STORE, [forever])

    run(test)


def test_once(answer: Any) -> None:
    async def test() -> None:
        world = World(answer)
        says = (
            "A payment was backfilled more than once. Remove each one when the store has it, and keep a payment that "
            "the caller sends again (the same id) once."
        )
        for id_ in (1, 3):
            world.store.mood = "raises"
            await world.score(id_, 1, True, "the store is down", ALONE)
            await world.score(id_, 1, True, "sent again by the caller, the store still down", ALONE)
            await world.score(id_ + 1, 1, True, "the store is down", ALONE)
            world.store.mood = "answers"
            await world.try_recover(True, "the store is back", "The store is up, so everything can be backfilled.")
        expect("what the store holds after two outages", world.store.holds(), [1, 2, 3, 4], LOST)
        often = dict(world.store.took)
        expect("how often each payment was backfilled, in two outages", often, dict.fromkeys(range(1, 5), 1), says)

    run(test)


@pytest.mark.parametrize("mood", ["raises", "takes it and hangs"])
def test_down_again_during_recovery(answer: Any, mood: Mood) -> None:
    async def test() -> None:
        world = World(answer)
        world.store.mood = "raises"
        for id_ in (1, 2, 3):
            await world.score(id_, 1, True, "the store is down", ALONE)
        world.store.mood, first = "answers", world.store.asked + 1

        async def go_down() -> None:
            if world.store.asked > first:
                world.store.mood = mood

        world.store.before = go_down
        says = "The store took one payment of three and went down again: it is incomplete, and must not be used yet."
        await world.try_recover(False, f"the store takes the first of three payments, then {mood}", says)
        await world.score(4, 1, True, "after an unfinished recovery", ALONE)
        world.store.before, world.store.mood = None, "answers"
        await world.try_recover(True, "the store is back for good", "The store is up, so everything can be backfilled.")
        lost = LOST + "A recovery failed halfway and dropped the rest: remove each payment after its backfill."
        expect("what the store holds then", world.store.holds(), [1, 2, 3, 4], lost)
        doubled = (
            "Payments that the store had were backfilled again: remove each one right after its backfill, not all at "
            "the end."
        )
        expect("how often each was backfilled", dict(world.store.took), dict.fromkeys(range(1, 5), 1), doubled)

    run(test)


def test_payments_during_recovery(answer: Any) -> None:
    async def test() -> None:
        world = World(answer)
        world.store.mood = "raises"
        for id_ in (1, 2):
            await world.score(id_, 1, True, "the store is down", ALONE)
        world.store.mood = "answers"
        requests: list[asyncio.Task[object]] = []
        seen: dict[int, object] = {}

        async def one_more() -> None:
            if len(requests) < 2:
                # Another payment comes during a backfill, not during its own call of the store.
                world.store.before = None
                id_ = 10 + len(requests)
                requests.append(asyncio.ensure_future(world.result_of(world.scorer.score(answer.Payment(id_, 1)))))
                for _ in range(20):
                    await asyncio.sleep(0)
                request = requests[id_ - 10]
                seen[id_] = request.result() if request.done() else Description("no answer before try_recover returned")
                world.store.before = one_more

        world.store.before = one_more
        await world.try_recover(True, "the store is back, and two payments come meanwhile", "The store answers.")
        waits: tuple[Any, str] = (
            lambda actual: isinstance(actual, Description),
            "It waits for try_recover to finish, which may take long. Until then, score without the store.",
        )
        early: tuple[Any, str] = (
            lambda actual: getattr(actual, "degraded", None) is False,
            "The store is used too early: it does not have all payments yet, so its counts are silently too low. "
            "Backfill everything first, then use it.",
        )
        for id_, actual in sorted(seen.items()):
            world.compare(id_, actual, 1, True, "while try_recover runs", ALONE, [waits, early])
        says = LOST + "It arrived while try_recover was running: check after each await whether anything is left."
        expect("what the store holds after try_recover", world.store.holds(), [1, 2, 10, 11], says)
        await world.score(12, 5, False, "the store has recovered", FROM_STORE)

    run(test)


def test_a_payment_at_any_moment_of_recovery(answer: Any) -> None:
    async def test() -> None:
        for turns in range(40):
            world = World(answer)
            world.store.mood = "raises"
            for id_ in (1, 2):
                await world.score(id_, 1, True, "the store is down", ALONE)
            world.store.mood = "answers"
            try_recover = asyncio.ensure_future(world.result_of(world.scorer.try_recover()))
            for _ in range(turns):
                await asyncio.sleep(0)
            await world.scored(10)
            expect(
                "try_recover(), the store is back, and a payment comes meanwhile",
                await try_recover,
                True,
                "The store answers.",
            )
            says = (
                "The store is in use but misses a payment: it arrived after the last check of the backlog, and before "
                "the store was used again. Do not await between these two."
            )
            expect("what the store holds after try_recover returned True", world.store.holds(), [1, 2, 10], says)

    run(test)


def test_recovery_of_many(answer: Any) -> None:
    async def test() -> None:
        world = World(answer)
        world.store.mood = "raises"
        for id_ in range(1, 31):
            await world.score(id_, 1, True, "the store is down", ALONE)
        world.store.mood = "takes its time"
        says = (
            "30 payments are left, and each call is within the timeout. The timeout is for each call, not for "
            "try_recover as a whole."
        )
        await world.try_recover(True, "30 payments are left, and the store takes 0.02 s for each", says)

    run(test)


def test_many_at_once(answer: Any) -> None:
    async def test() -> None:
        world = World(answer)
        world.store.mood = "takes it and hangs"
        actual = await asyncio.gather(*(world.scored(id_) for id_ in range(1, 21)))
        for id_, one in enumerate(actual, 1):
            queue: tuple[Any, str] = (
                lambda actual: actual == NOTHING,
                "They wait one after another, each for the timeout: no request may wait for another's call.",
            )
            world.compare(id_, one, 1, True, "one of 20 at once when the store begins to hang", ALONE, [queue])
        world.store.mood = "answers"
        await world.try_recover(True, "the store is back", "The store is up, so everything can be backfilled.")
        expect("what the store holds after try_recover", world.store.holds(), list(range(1, 21)), LOST)
        await world.score(21, 21, False, "the store has recovered", FROM_STORE)

    run(test)


def test_agrees_with_production(answer: Any) -> None:
    async def test() -> None:
        rng = random.Random(11)
        world, production = World(answer), PipelineScorer(answer)
        assert await production.reconciler.try_recover()
        for id_ in range(1, 121):
            if rng.random() < 0.2:
                mood: Mood = rng.choice(["answers", "answers", "raises", "raises", "takes it and hangs"])
                world.store.mood = production.store.mood = mood
            customer = rng.randrange(3)
            right = await production.score(id_, customer)
            says = "serving/scoring/scorer.py answers differently after the same faults."
            when = f"in a long run; the store {world.store.mood}"
            await world.score(id_, right.count, right.degraded, when, says, customer=customer)
            if production.breaker.problem and rng.random() < 0.4:
                back = await production.reconciler.try_recover()
                await world.try_recover(back, when, "serving/recovery/reconciler.py decides differently.")
        world.store.mood = production.store.mood = "answers"
        if production.breaker.problem:
            back = await production.reconciler.try_recover()
            await world.try_recover(
                back, "the store is back for good", "serving/recovery/reconciler.py decides differently."
            )
        lacks = sorted(set(production.store.holds()) - set(world.store.holds()))
        expect("the payments that the store lacks at the end", lacks, [], LOST)

    run(test)
