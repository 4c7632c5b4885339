"""Checks a champion that is replaced while requests go on.

Threads meet at unlucky moments rarely. So that a check finds them always, the learner's code is run one instruction of
Python's at a time, and between any two a request (or a swap) is made by another thread.
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
from types import FrameType, SimpleNamespace
from typing import Any

import pytest

import serving.model.champion_watcher
from contracts.bundle import BundleError, verify, write_manifest
from exercises.expect import Said, expect
from serving.model.champion import FILES
from serving.model.model_cache import ModelCache
from serving.model.registry_client import Version
from serving.observability.metrics import Metrics

SECONDS = 2.0
MOMENT = 0.1
AMOUNT = 75.0
MOST_STEPS = 2000
GONE = (
    lambda came: isinstance(came, Exception),
    "The old model was given up before the new one was there. It goes on until the swap.",
)


class TrialError(ValueError):
    """What a model of the check's raises while it is tried."""


class World:
    """The learner's champions and models of the check's making: version n scores n / 1000, odd ones approve."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.damaged: set[str] = set()
        self.loads, self.failing = 0, set[str]()
        self.reference: dict[str, float] = {}
        self.while_loading: Callable[[], None] = lambda: None
        self.while_tried: Callable[[], None] = lambda: None
        self.while_scoring: Callable[[], None] = lambda: None

    @cached_property
    def champions(self) -> Any:
        """The learner's own; made in the test that first asks, so that it is not taken for part of the check."""
        kind = self.answer.Champions
        bare = kind.__init__ is object.__init__
        made = kind() if bare else kind(self.load)
        methods = {name: getattr(made, name, None) for name in ("take", "score")}
        lacking = ["__init__"] * bare + [name for name, method in methods.items() if not callable(method)]
        expect("the methods that Champions lacks", lacking, [], "Write all three: its docstring says what each does.")
        later = [name for name, method in methods.items() if inspect.iscoroutinefunction(method)]
        expect("the async methods of Champions", later, [], "Threads call them, and nothing awaits: plain `def`.")
        return made

    def load(self, version: str) -> Any:
        """What the learner's code loads models with."""
        self.loads += 1
        self.while_loading()
        if version in self.damaged:
            raise BundleError(f"bundle/trees.treelite of version {version} is damaged")

        def score(amount: float) -> float:
            if amount == self.answer.REFERENCE_AMOUNT:
                self.while_tried()
                if version in self.failing:
                    raise TrialError(f"version {version} has no trees")
                return self.reference.get(version, int(version) / 1000)
            self.while_scoring()
            return int(version) / 1000

        return self.answer.Model(version, score, threshold(version), int(version) / 1000)

    def request(self) -> Future[object]:
        """A request under way in another thread; it ends with what came, an exception too."""
        champions = self.champions
        return in_thread(lambda: asked(champions))

    def ask(self) -> object:
        """What a request is given, or words where it waits for long."""
        return within(self.request())

    def take(self, version: str) -> object:
        """What `take` gives; an exception that it must not raise."""
        try:
            return self.champions.take(version)
        except (BundleError, TrialError) as error:
            return error

    def right(self, version: str) -> Any:
        """The answer of one version."""
        decision = "decline" if int(version) / 1000 >= threshold(version) else "approve"
        return self.answer.Answer(int(version) / 1000, decision, version)


def asked(champions: Any) -> object:
    """What a request is given, an exception too."""
    try:
        return champions.score(AMOUNT)
    except Exception as error:
        return error


def within(future: Future[object]) -> object:
    """What came of it, or words where nothing comes soon."""
    done, _ = wait_for([future], SECONDS)
    return future.result() if done else Said(f"nothing within {SECONDS:.0f} s")


def in_thread(call: Callable[[], object]) -> Future[object]:
    """Call something in a thread that does not keep the check from ending, should it never end itself."""
    future: Future[object] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def threshold(version: str) -> float:
    """Odd versions approve all but version 999, which scores its threshold; even ones decline all."""
    return 0.999 if int(version) % 2 else 0.0


@pytest.fixture
def world(answer: Any) -> World:
    return World(answer)


def take(world: World, version: str, taken: bool, otherwise: str) -> None:
    """Compare what `take` says."""
    came = world.take(version)
    escaped = (
        lambda came: isinstance(came, BundleError),
        "The exception of a damaged bundle escapes. It would end whatever asks for new versions, and the damage is "
        "no fault of the requests: a version that cannot be loaded is refused, and the old one goes on.",
    )
    tried = (
        lambda came: isinstance(came, TrialError),
        "What a damaged model raises while it is tried escapes. A version that cannot score is refused as well, and "
        "the old one goes on: the trial is there to fail.",
    )
    none = (None, "take says whether the version is in use now, True or False, and here it gives nothing.")
    expect(f"take({version!r})", came, taken, otherwise, [escaped, tried, none])


def answers(world: World, called: str, came: object, versions: list[str], otherwise: str, mistakes: Any = ()) -> None:
    """Compare one answer with those that would be right: of one version or another, and of one alone."""
    right = [world.right(version) for version in versions]
    expected = right[0] if len(right) == 1 else Said(" or ".join(repr(one) for one in right))
    none = (lambda came: came is None, "score gives an Answer, and here it gives nothing.")
    if isinstance(came, Exception) and not any(callable(wrong) and wrong(came) for wrong, _ in mistakes):
        # It tells the line of the learner's file.
        raise came
    expect(called, came, expected, otherwise, [*mistakes, none], same=lambda came, _: came in right)


def is_mixed(world: World) -> Callable[[object], bool]:
    """Tells an answer that is of no one version."""
    return lambda came: isinstance(came, world.answer.Answer) and came not in [world.right(v) for v in ("1", "2")]


def not_ready(world: World, called: str, otherwise: str) -> None:
    """Expect that there is no champion."""
    error, expected = world.answer.NotReadyError, Said("a NotReadyError, raised")
    expect(called, world.ask(), expected, otherwise, same=lambda came, _: isinstance(came, error))


def test_first(world: World) -> None:
    says = "Before the first champion score raises NotReadyError, of which the scorer makes a 503 that says why."
    not_ready(world, "score(75.0) before any take", says)
    take(world, "1", True, "A good version is to be taken.")
    answers(world, "score(75.0)", world.ask(), ["1"], "All three are of the champion.")
    take(world, "2", True, "A good version takes the place of the old one.")
    answers(world, "score(75.0)", world.ask(), ["2"], "Version 2 was taken, and is to answer.")
    shared = "What one object took is in use by another: keep the champion in `self`, not in the class or the module."
    not_ready(World(world.answer), "score(75.0) of a second Champions, that took nothing", shared)
    called = "score(75.0) of the first, after the second was made"
    answers(world, called, world.ask(), ["2"], shared, [(GONE[0], shared)])


def test_score_at_the_threshold(world: World) -> None:
    take(world, "999", True, "A good version is to be taken.")
    says = "A score that equals the threshold declines: at least as high is >=."
    answers(world, "score(75.0), threshold 0.999", world.ask(), ["999"], says)


def test_damaged(world: World) -> None:
    take(world, "1", True, "A good version is to be taken.")
    world.damaged.add("2")
    take(world, "2", False, "load raised BundleError: the version is damaged, and was not taken.")
    says = "The damaged version was refused, and the one before is to go on as if nothing had happened."
    answers(world, "score(75.0) after a damaged version", world.ask(), ["1"], says, [GONE])
    take(world, "3", True, "A good version after a damaged one is to be taken.")


@pytest.mark.parametrize(
    ("score", "says"),
    [
        (0.9, "It can be loaded, and scores the reference payment with 0.9 where 0.002 is known to be right: try it."),
        (
            math.nan,
            "It scores the reference payment with NaN. NaN compares as false with everything, so that a test for "
            "`difference > TOLERANCE` lets it pass: ask whether the difference is within, and refuse what is not.",
        ),
        (0.002001, "It scores the reference payment with 0.002001 where 0.002 is known: that is not within TOLERANCE."),
        (0.001, "It scores the reference payment with 0.001 where 0.002 is known: too low is as wrong as too high."),
    ],
)
def test_nonsense(world: World, score: float, says: str) -> None:
    take(world, "1", True, "A good version is to be taken.")
    world.reference["2"] = score
    take(world, "2", False, says)
    swapped = "take refused the version, and yet it answers: it was swapped in before it was verified."
    answers(world, "score(75.0) after it", world.ask(), ["1"], swapped, [GONE])


def test_as_good_as_known(world: World) -> None:
    world.reference["2"] = 0.002 + 5e-10
    says = "It scores the reference payment half a TOLERANCE beside what is known, which is within it: take it."
    take(world, "2", True, says)


def test_while_loading(world: World) -> None:
    take(world, "1", True, "A good version is to be taken.")
    seen: list[object] = []

    def ask() -> None:
        world.while_loading = lambda: None
        seen.append(world.ask())

    world.loads, world.while_loading = 0, ask
    take(world, "2", True, "A good version takes the place of the old one.")
    waits = (
        lambda came: isinstance(came, Said),
        "The request waits until the new model is loaded, which takes seconds, and then every caller waits as long. "
        "A lock must not be held while loading; for one assignment none is needed.",
    )
    called = "score(75.0) while version 2 is loaded, version 1 in use"
    says = "Loading takes seconds: once is enough, and a request does not load."
    expect("how often load was called until version 2 is in use", world.loads, 1, says)
    answers(world, called, seen[0], ["1"], "Until it is loaded version 1 answers.", [waits, GONE])


def test_while_tried(world: World) -> None:
    take(world, "1", True, "A good version is to be taken.")
    seen: list[object] = []
    world.while_tried = lambda: seen.append(world.ask())
    take(world, "2", True, "A good version takes the place of the old one.")
    waits = (
        lambda came: isinstance(came, Said),
        "The request waits until the new model was tried. A lock must not be held for so long.",
    )
    early = (
        lambda came: came == world.right("2"),
        "The new version answers requests already, swapped in before it was verified: a damaged one would have too. "
        "Load and try it beside the one in use, and swap last.",
    )
    called = "score(75.0) while version 2 is tried on the reference payment, version 1 in use"
    expect("whether the reference payment was scored", bool(seen), True, "The model is to be tried before it is used.")
    answers(world, called, seen[0], ["1"], "Until it has proved itself version 1 answers.", [early, waits, GONE])


def test_while_scoring(world: World) -> None:
    take(world, "1", True, "A good version is to be taken.")
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
    says = "It waits for the other request, as long as that is scored. A lock must not be held around model.score."
    for called, call in others.items():
        waited = isinstance(within(in_thread(call)), Said)
        expect(f"whether {called} waits while another request is scored", waited, False, says)
    go_on.set()


def at_every_step(path: Path, call: Callable[[], object], step: Callable[[int], None]) -> int:
    """Call something, with `step` after each instruction of the file at `path`; how many there were."""
    steps = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal steps
        if frame.f_code.co_filename != str(path):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            step(steps)
            steps += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return steps


def test_requests_at_every_step_of_a_swap(world: World) -> None:
    take(world, "1", True, "A good version is to be taken.")
    requests: list[Future[object]] = []

    def ask(step: int) -> None:
        # One that waits, for a lock held a moment, waits until the swap is done.
        if step < MOST_STEPS and sum(not one.done() for one in requests) < 4:
            requests.append(world.request())
            wait_for(requests[-1:], MOMENT)

    at_every_step(world.answer.path, lambda: world.take("2"), ask)
    mixed = (
        is_mixed(world),
        "The answer is of two models: the score, the decision and the version do not belong together. What is "
        "swapped in several assignments is, for a moment, half old and half new: swap one thing that holds all.",
    )
    gone = (
        lambda came: isinstance(came, Exception),
        "A request failed in the midst of the swap: for a moment no champion was whole. One assignment is enough.",
    )
    called = "score(75.0) in the midst of take('2'), version 1 in use"
    for request in requests:
        answers(world, called, within(request), ["1", "2"], "The answer is wholly of one version.", [mixed, gone])


def test_a_swap_at_every_step_of_a_request(world: World) -> None:
    mixed = (
        is_mixed(world),
        "The answer is of two models: the champion was looked up more than once, and replaced in between. A request "
        "looks it up once, at its beginning, and uses that one to its end.",
    )
    for number in range(MOST_STEPS):
        take(world, "1", True, "A good version is to be taken.")
        came: list[object] = []
        swaps: list[Future[object]] = []

        def swap(step: int, number: int = number, swaps: list[Future[object]] = swaps) -> None:
            if step == number:
                swaps.append(in_thread(lambda: world.take("2")))
                wait_for(swaps, MOMENT)

        at_every_step(world.answer.path, lambda came=came: came.append(asked(world.champions)), swap)  # type: ignore[misc]
        wait_for(swaps, SECONDS)
        called = "score(75.0) with version 1 in use, and version 2 taken in its midst"
        answers(world, called, came[0], ["1", "2"], "The answer is wholly of one version.", [mixed])
        if not swaps:
            return


def test_fails_when_tried(world: World) -> None:
    take(world, "1", True, "A good version is to be taken.")
    world.failing.add("2")
    take(world, "2", False, "It raises ValueError when the reference payment is scored, and was taken: try it.")
    says = "The version that failed was refused, and the one before is to go on."
    answers(world, "score(75.0) after it", world.ask(), ["1"], says, [GONE])


class FakeRegistry:
    """The registry as the line's own champions ask it: the version that the check names, and its files."""

    version = Version("0", "models:/m-0")
    damaged = False

    async def champion(self) -> Version:
        return self.version

    async def download(self, version: Version, folder: Path) -> None:
        for name in FILES:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(f"{name} of {version.number}")
        write_manifest(folder, FILES)
        if self.damaged:
            (folder / FILES[0]).write_text("half of a fi")


async def load_verified(folder: Path, version: str) -> SimpleNamespace:
    """In place of real trees: what the line verifies before it loads anything."""
    verify(folder, FILES)
    return SimpleNamespace(version=version, bundle=SimpleNamespace(features_version="3"))


def test_agrees_with_production(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving.model.champion_watcher, "load_in_sandbox", load_verified)
    registry = FakeRegistry()
    line = serving.model.champion_watcher.ChampionWatcher(registry, ModelCache(tmp_path), Metrics(), 1.0)  # type: ignore[arg-type]
    rng = random.Random(3)
    stop, came = threading.Event(), set[object]()

    def hammer() -> None:
        while not stop.is_set():
            came.add(asked(world.champions))

    take(world, "1", True, "A good version is to be taken.")
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
            asyncio.run(line.refresh())
            if registry.damaged:
                (world.damaged.add if rng.random() < 0.5 else lambda v: world.reference.update({v: 0.5}))(version)
            taken = line.current.version == version
            take(world, version, taken, "serving/model/champion_watcher.py decides otherwise on the same version.")
            called = f"score(75.0) after take({version!r})"
            says = f"serving/model/champion_watcher.py goes on with version {line.current.version}."
            answers(world, called, asked(world.champions), [line.current.version], says)
    finally:
        stop.set()
        sys.setswitchinterval(interval)
    wait_for(threads, SECONDS)
    for one in came:
        version = str(getattr(one, "version", "1"))
        says = "Of many requests while versions are taken, this one failed, or is of two models."
        answers(world, "score(75.0) from two threads, while versions are taken", one, [version], says)
