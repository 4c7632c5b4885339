"""Checks a champion that is replaced while requests are running.

Race conditions show up rarely. To find them always, the check runs the learner's code one Python instruction at a time,
and makes a request (or a swap) from another thread between any two.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import random
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

import serving.model.champion_watcher
from contracts.bundle import BundleError
from exercises.expect import Description, expect
from exercises.fake_registry import FakeRegistry, NoSignatures, load_verified
from exercises.threads import at_every_step, in_thread
from serving.model.model_cache import ModelCache
from serving.model.registry_client import Version
from serving.observability.metrics import Metrics

SECONDS = 2.0
MOMENT = 0.1
AMOUNT = 75.0
MAX_STEPS = 2000
GONE = (
    lambda actual: isinstance(actual, Exception),
    "The old model was dropped before the new one was ready. Keep using it until the swap.",
)


class FailedTestError(ValueError):
    """What a failing model raises while it is tested."""


class World:
    """The learner's champions and the check's models: version n scores n / 1000, odd ones approve."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.damaged: set[str] = set()
        self.loads, self.failing = 0, set[str]()
        self.reference: dict[str, float] = {}
        self.while_loading: Callable[[], None] = lambda: None
        self.while_tested: Callable[[], None] = lambda: None
        self.while_scoring: Callable[[], None] = lambda: None

    @cached_property
    def champions(self) -> Any:
        """The learner's object, created within a test, so that its errors are the learner's."""
        kind = self.answer.Champions
        bare = kind.__init__ is object.__init__
        made = kind() if bare else kind(self.load)
        methods = {name: getattr(made, name, None) for name in ("take", "score")}
        lacking = ["__init__"] * bare + [name for name, method in methods.items() if not callable(method)]
        expect("the methods that Champions lacks", lacking, [], "Write all three; the docstring describes them.")
        later = [name for name, method in methods.items() if inspect.iscoroutinefunction(method)]
        expect("the async methods of Champions", later, [], "Threads call them without await: use plain `def`.")
        return made

    def load(self, version: str) -> Any:
        """What the learner's code loads models with."""
        self.loads += 1
        self.while_loading()
        if version in self.damaged:
            raise BundleError(f"bundle/trees.treelite of version {version} is damaged")

        def score(amount: float) -> float:
            if amount == self.answer.REFERENCE_AMOUNT:
                self.while_tested()
                if version in self.failing:
                    raise FailedTestError(f"version {version} has no trees")
                return self.reference.get(version, int(version) / 1000)
            self.while_scoring()
            return int(version) / 1000

        return self.answer.Model(version, score, threshold(version), int(version) / 1000)

    def request(self) -> Future[object]:
        """Start a request in another thread; its result may be an exception."""
        champions = self.champions
        return in_thread(lambda: asked(champions))

    def ask(self) -> object:
        """The result of a request, or a description if it waits too long."""
        return within(self.request())

    def take(self, version: str) -> object:
        """The result of `take`, or an exception that it must not raise."""
        try:
            return self.champions.take(version)
        except (BundleError, FailedTestError) as error:
            return error

    def right(self, version: str) -> Any:
        """The answer of one version."""
        decision = "decline" if int(version) / 1000 >= threshold(version) else "approve"
        return self.answer.Answer(int(version) / 1000, decision, version)


def asked(champions: Any) -> object:
    """The result of a request, which may be an exception."""
    try:
        return champions.score(AMOUNT)
    except Exception as error:
        return error


def within(future: Future[object]) -> object:
    """The result, or a description if there is none soon."""
    done, _ = wait_for([future], SECONDS)
    return future.result() if done else Description(f"nothing within {SECONDS:.0f} s")


def threshold(version: str) -> float:
    """Odd versions approve all but version 999, which scores its threshold; even ones decline all."""
    return 0.999 if int(version) % 2 else 0.0


@pytest.fixture
def world(answer: Any) -> World:
    return World(answer)


def take(world: World, version: str, taken: bool, otherwise: str) -> None:
    """Compare the result of `take`."""
    actual = world.take(version)
    escaped = (
        lambda actual: isinstance(actual, BundleError),
        "The exception of a damaged bundle escapes. It would stop the task that loads new versions: reject a version "
        "that cannot be loaded, and keep the old one in use.",
    )
    tried = (
        lambda actual: isinstance(actual, FailedTestError),
        "The exception of a model that fails its test escapes. Reject a version that cannot score, and keep the old "
        "one in use.",
    )
    none = (None, "take returned None: return whether the version is in use, True or False.")
    expect(f"take({version!r})", actual, taken, otherwise, [escaped, tried, none])


def answers(world: World, call: str, actual: object, versions: list[str], otherwise: str, mistakes: Any = ()) -> None:
    """Compare an answer with the correct ones: it must come from exactly one version."""
    right = [world.right(version) for version in versions]
    expected = right[0] if len(right) == 1 else Description(" or ".join(repr(one) for one in right))
    none = (lambda actual: actual is None, "score returned None: return an Answer.")
    if isinstance(actual, Exception) and not any(callable(wrong) and wrong(actual) for wrong, _ in mistakes):
        # Its traceback has the line of the learner's file.
        raise actual
    expect(call, actual, expected, otherwise, [*mistakes, none], same=lambda actual, _: actual in right)


def is_mixed(world: World) -> Callable[[object], bool]:
    """Detects an answer that mixes two versions."""
    return lambda actual: isinstance(actual, world.answer.Answer) and actual not in [world.right(v) for v in ("1", "2")]


def not_ready(world: World, call: str, otherwise: str) -> None:
    """Expect that there is no champion."""
    error, expected = world.answer.NotReadyError, Description("a NotReadyError, raised")
    expect(call, world.ask(), expected, otherwise, same=lambda actual, _: isinstance(actual, error))


def test_first(world: World) -> None:
    says = "Before the first champion, score must raise NotReadyError, which the scorer turns into a 503."
    not_ready(world, "score(75.0) before any take", says)
    take(world, "1", True, "A valid version must be taken.")
    answers(world, "score(75.0)", world.ask(), ["1"], "All three values must come from the champion.")
    take(world, "2", True, "A valid version must replace the old one.")
    answers(world, "score(75.0)", world.ask(), ["2"], "Version 2 was taken, and must answer.")
    shared = "Two objects share a champion: keep it in `self`, not in the class or the module."
    not_ready(World(world.answer), "score(75.0) of a second Champions, that took nothing", shared)
    call = "score(75.0) of the first, after the second was made"
    answers(world, call, world.ask(), ["2"], shared, [(GONE[0], shared)])


def test_score_at_the_threshold(world: World) -> None:
    take(world, "999", True, "A valid version must be taken.")
    says = "A score equal to the threshold declines: use >=."
    answers(world, "score(75.0), threshold 0.999", world.ask(), ["999"], says)


def test_damaged(world: World) -> None:
    take(world, "1", True, "A valid version must be taken.")
    world.damaged.add("2")
    take(world, "2", False, "load raised BundleError: the version is damaged, and must be rejected.")
    says = "The damaged version was rejected, and the previous one must stay in use."
    answers(world, "score(75.0) after a damaged version", world.ask(), ["1"], says, [GONE])
    take(world, "3", True, "Take a valid version after a damaged one.")


@pytest.mark.parametrize(
    ("score", "says"),
    [
        (0.9, "It loads, but scores the reference payment 0.9 instead of 0.002: test it."),
        (
            math.nan,
            "It scores the reference payment NaN. NaN compares as false with everything, so a test for `difference > "
            "TOLERANCE` accepts it: test whether the difference is within the tolerance instead.",
        ),
        (0.002001, "It scores the reference payment 0.002001 instead of 0.002: that is not within TOLERANCE."),
        (0.001, "It scores the reference payment 0.001 instead of 0.002: too low is as wrong as too high."),
    ],
)
def test_nonsense(world: World, score: float, says: str) -> None:
    take(world, "1", True, "A valid version must be taken.")
    world.reference["2"] = score
    take(world, "2", False, says)
    swapped = "take rejected the version, but it is in use: it was swapped in before it was verified."
    answers(world, "score(75.0) after it", world.ask(), ["1"], swapped, [GONE])


def test_as_good_as_known(world: World) -> None:
    world.reference["2"] = 0.002 + 5e-10
    says = "It scores the reference payment within half of TOLERANCE: accept it."
    take(world, "2", True, says)


def test_while_loading(world: World) -> None:
    take(world, "1", True, "A valid version must be taken.")
    seen: list[object] = []

    def ask() -> None:
        world.while_loading = lambda: None
        seen.append(world.ask())

    world.loads, world.while_loading = 0, ask
    take(world, "2", True, "A valid version must replace the old one.")
    waits = (
        lambda actual: isinstance(actual, Description),
        "The request waits until the new model is loaded, which takes seconds. Do not hold a lock while loading; one "
        "assignment needs no lock.",
    )
    call = "score(75.0) while version 2 is loaded, version 1 in use"
    says = "Loading takes seconds: load once, and not in a request."
    expect("how often load was called until version 2 is in use", world.loads, 1, says)
    answers(world, call, seen[0], ["1"], "Until it is loaded, version 1 must answer.", [waits, GONE])


def test_while_tested(world: World) -> None:
    take(world, "1", True, "A valid version must be taken.")
    seen: list[object] = []
    world.while_tested = lambda: seen.append(world.ask())
    take(world, "2", True, "A valid version must replace the old one.")
    waits = (
        lambda actual: isinstance(actual, Description),
        "The request waits until the new model is tested. Do not hold a lock during the test.",
    )
    early = (
        lambda actual: actual == world.right("2"),
        "The new version already answers requests, swapped in before it was verified. Load and test it next to the one "
        "in use, and swap last.",
    )
    call = "score(75.0) while version 2 is tested on the reference payment, version 1 in use"
    expect("whether the reference payment was scored", bool(seen), True, "Test the model before it is used.")
    answers(world, call, seen[0], ["1"], "Until it is verified, version 1 must answer.", [early, waits, GONE])


def test_while_scoring(world: World) -> None:
    take(world, "1", True, "A valid version must be taken.")
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        world.while_scoring = lambda: None
        begun.set()
        go_on.wait(4 * SECONDS)

    world.while_scoring = slow
    world.request()
    begun.wait(SECONDS)
    others: dict[str, Callable[[], object]] = {"score(75.0)": lambda: asked(world.champions)}
    others["take('2')"] = lambda: world.take("2")
    says = "It waits for the other request. Do not hold a lock around model.score."
    for call, function in others.items():
        waited = isinstance(within(in_thread(function)), Description)
        expect(f"whether {call} waits while another request is scored", waited, False, says)
    go_on.set()


def test_requests_at_every_step_of_a_swap(world: World) -> None:
    take(world, "1", True, "A valid version must be taken.")
    requests: list[Future[object]] = []

    def ask(step: int) -> None:
        # A request that waits for a lock waits until the swap is done.
        if step < MAX_STEPS and sum(not one.done() for one in requests) < 4:
            requests.append(world.request())
            wait_for(requests[-1:], MOMENT)

    at_every_step(world.answer.path, lambda: world.take("2"), ask)
    mixed = (
        is_mixed(world),
        "The answer mixes two models: score, decision and version do not match. A swap in several assignments is half "
        "old and half new for a moment: swap one object that holds everything.",
    )
    gone = (
        lambda actual: isinstance(actual, Exception),
        "A request failed during the swap: for a moment there was no complete champion. Use one assignment.",
    )
    call = "score(75.0) during take('2'), version 1 in use"
    for request in requests:
        answers(world, call, within(request), ["1", "2"], "The answer must come from one version.", [mixed, gone])


def test_a_swap_at_every_step_of_a_request(world: World) -> None:
    mixed = (
        is_mixed(world),
        "The answer mixes two models: the champion was read more than once, and replaced in between. Read it once at "
        "the start of a request, and use that one throughout.",
    )
    for number in range(MAX_STEPS):
        take(world, "1", True, "A valid version must be taken.")
        actual: list[object] = []
        swaps: list[Future[object]] = []

        def swap(step: int, number: int = number, swaps: list[Future[object]] = swaps) -> None:
            if step == number:
                swaps.append(in_thread(lambda: world.take("2")))
                wait_for(swaps, MOMENT)

        at_every_step(world.answer.path, lambda actual=actual: actual.append(asked(world.champions)), swap)  # type: ignore[misc]
        wait_for(swaps, SECONDS)
        call = "score(75.0) with version 1 in use, and version 2 taken during the call"
        answers(world, call, actual[0], ["1", "2"], "The answer must come from one version.", [mixed])
        if not swaps:
            return


def test_fails_when_tested(world: World) -> None:
    take(world, "1", True, "A valid version must be taken.")
    world.failing.add("2")
    take(world, "2", False, "It raises ValueError when it scores the reference payment, but was taken: test it.")
    says = "The failing version was rejected, and the previous one must stay in use."
    answers(world, "score(75.0) after it", world.ask(), ["1"], says, [GONE])


def test_agrees_with_production(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving.model.champion_watcher, "load_in_sandbox", load_verified)
    registry = FakeRegistry()
    watcher = serving.model.champion_watcher.ChampionWatcher(
        registry,  # type: ignore[arg-type]
        ModelCache(tmp_path),
        NoSignatures(),  # type: ignore[arg-type]
        Metrics(),
        1.0,
    )
    rng = random.Random(3)
    stop, actual = threading.Event(), set[object]()

    def hammer() -> None:
        while not stop.is_set():
            actual.add(asked(world.champions))

    take(world, "1", True, "A valid version must be taken.")
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    threads = [in_thread(hammer) for _ in range(2)]
    try:
        for number in range(1, 25):
            version = str(number)
            registry.version, registry.damaged = (
                Version(version, f"models:/m-{number}"),
                number > 1 and rng.random() < 0.4,
            )
            asyncio.run(watcher.refresh())
            if registry.damaged:
                (world.damaged.add if rng.random() < 0.5 else lambda v: world.reference.update({v: 0.5}))(version)
            taken = watcher.current.version == version
            take(world, version, taken, "serving/model/champion_watcher.py decides differently on the same version.")
            call = f"score(75.0) after take({version!r})"
            says = f"serving/model/champion_watcher.py uses version {watcher.current.version}."
            answers(world, call, asked(world.champions), [watcher.current.version], says)
    finally:
        stop.set()
        sys.setswitchinterval(interval)
    wait_for(threads, SECONDS)
    for one in actual:
        version = str(getattr(one, "version", "1"))
        says = "Of many requests during swaps, this one failed or mixes two models."
        answers(world, "score(75.0) from two threads, while versions are taken", one, [version], says)
