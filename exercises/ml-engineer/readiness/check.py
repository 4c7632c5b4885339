"""Checks what the two probes answer while a model and a store come and go. No network: httpx calls the app itself."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import httpx
from fastapi import FastAPI
from valkey.exceptions import ConnectionError as ValkeyConnectionError

from exercises.expect import Said, expect
from serving.api import health
from serving.errors import NotReadyError

SECONDS = 5.0
SOON = 1.0
REPEATED = "It must be asked at each request: what was true at the start, or at the last request, may have changed."


PATHS: list[tuple[Any, str]] = [
    (404, "There is no such path: does the decorator name it, under `@app.get`?"),
    (405, "The path is there, and not for GET: it is `@app.get` that answers GET."),
    (307, "The path is there with a slash at its end, and the caller is sent on: leave the slash out."),
]


class StoreAwayError(ConnectionError):
    """What the check's own store raises while it is away."""


class World:
    """The two parts as the check sets them, and how often the store was asked."""

    def __init__(self, answer: Any, model: str | None, store: bool) -> None:
        self.store, self.hangs, self.pings = store, False, 0
        self.parts = answer.Parts(model=model, ping_store=self._ping)
        self.app = answer.create_app(self.parts)
        expect("create_app(parts)", type(self.app), FastAPI, "it returns the application: leave its last line in place")

    async def _ping(self) -> None:
        self.pings += 1
        while self.hangs:
            await asyncio.sleep(0.01)
        if not self.store:
            raise StoreAwayError("the store is away")

    def get(self, path: str) -> tuple[object, object]:
        """Status and body of an answer, or words in place of them."""
        return ask(self.app, path)

    def __str__(self) -> str:
        model = "no model" if self.parts.model is None else f"model {self.parts.model!r}"
        return f"with {model} and {'a' if self.store else 'no'} store"


def ask(app: Any, path: str) -> tuple[object, object]:
    """Status and body of what an application answers, in an event loop of its own."""
    return asyncio.run(asked(app, path))


async def asked(app: Any, path: str, seconds: float = SECONDS) -> tuple[object, object]:
    """Status and body of what an application answers; words where an exception escapes it or nothing comes."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://scorer") as client:
        try:
            response = await asyncio.wait_for(client.get(path), seconds)
        except StoreAwayError:
            return Said("500: the store's ConnectionError escaped"), {}
        except TimeoutError:
            return Said(f"no answer within {seconds:.0f} s"), {}
    try:
        return response.status_code, response.json()
    except ValueError:
        return response.status_code, Said(f"a body that is not JSON: {response.text!r}")


def missing_of(body: object) -> object:
    """The names under `missing`, sorted; words where there are none."""
    names = body.get("missing") if isinstance(body, dict) else None
    if isinstance(names, list):
        return sorted(map(str, names))
    return body if isinstance(body, Said) else Said(f"no list `missing` in {body!r}")


def check(world: World, when: str, status: int, missing: Sequence[str], mistakes: Sequence[tuple[Any, str]]) -> None:
    """Compare what /readyz answers."""
    called = f"GET /readyz {world}{when}"
    came, body = world.get("/readyz")
    only_said = (
        lambda came: came == 200 and missing and missing_of(body) == sorted(missing),
        "200 means that payments may be sent here, whatever the body says: a load balancer reads the status alone. "
        "The body may tell more, to people.",
    )
    escaped = (
        lambda came: isinstance(came, Said) and came.startswith("500"),
        "The exception goes through to the caller. That the store is away is an answer here, no crash: catch it.",
    )
    otherwise = f"The status alone counts for the load balancer that asks: {status} is right here."
    expect(called, came, status, otherwise, [only_said, *mistakes, escaped, *PATHS])
    wrapped = isinstance(body, dict) and isinstance(body.get("detail"), dict)
    says = "HTTPException puts what it is given under `detail`: give a response of your own." if wrapped else (
        'The body is {"ready": ..., "missing": [...]}: whoever is woken at night reads there which part to look at.'
    )  # fmt: skip
    fewer = (
        lambda came: len(missing) == 2 and came in (["model"], ["store"]),
        "Both are missing, and the body names one: ask both before you answer, whatever the first one says.",
    )
    pair = (
        lambda _: isinstance(body, list) and body[-1:] in ([200], [503]),
        "FastAPI makes a list of a pair of body and status, and answers 200: the status goes into a response.",
    )
    expect(f"missing, in the body of {called}", missing_of(body), sorted(missing), says, [fewer, pair])
    ready = body.get("ready") if isinstance(body, dict) else None
    expect(f"ready, in the body of {called}", ready, not missing, "`ready` says in the body what the status says.")


def test_ready(answer: Any) -> None:
    check(World(answer, "7", True), "", 200, [], [(503, "Nothing is missing: payments can be scored.")])


def test_one_part_is_there(answer: Any) -> None:
    no_model = "Without a model nothing can be scored: the store alone does not make the scorer ready."
    check(World(answer, None, True), "", 503, ["model"], [(200, no_model)])
    no_store = "The store is away, and it was not noticed. That it was given does not mean that it answers: await it."
    check(World(answer, "7", False), "", 503, ["store"], [(200, no_store)])


def test_nothing_is_there(answer: Any) -> None:
    check(World(answer, None, False), "", 503, ["model", "store"], [(200, "Nothing can be scored: both are missing.")])


def test_parts_come(answer: Any) -> None:
    world = World(answer, None, False)
    check(world, " at the start", 503, ["model", "store"], [])
    world.parts.model, world.store = "7", True
    check(world, ", both come since the start", 200, [], [(503, f"It stays not ready. {REPEATED}")])


def test_parts_go(answer: Any) -> None:
    world = World(answer, "7", True)
    check(world, " at the start", 200, [], [])
    world.store = False
    says = f"It stays ready, although the store is gone. {REPEATED}"
    check(world, ", what is missing went after the last request", 503, ["store"], [(200, says)])
    world.parts.model, world.store = None, True
    says = f"It stays ready, although the model is gone. {REPEATED}"
    check(world, ", what is missing went after the last request", 503, ["model"], [(200, says)])


def test_alive_all_along(answer: Any) -> None:
    says = (
        "Liveness is mixed with readiness. Who asks /livez restarts the process on a failure; that brings no store "
        "back, and a scorer that restarts again and again is never there when it comes."
    )
    mistakes: list[tuple[Any, str]] = [
        (lambda came: came == 503 or isinstance(came, Said), says),
        *PATHS,
    ]
    for model, store in ((None, False), ("7", False), (None, True), ("7", True)):
        world = World(answer, model, store)
        expect(f"GET /livez {world}", world.get("/livez")[0], 200, "200 as long as the process answers.", mistakes)
        says_asked = "A store that hangs would hang the answer, and a process that lives would be ended: ask no part."
        expect(f"how often GET /livez {world} asked the store", world.pings, 0, says_asked)


def test_alive_while_the_store_hangs(answer: Any) -> None:
    world = World(answer, "7", True)
    world.hangs = True

    async def alive() -> object:
        ready = asyncio.create_task(asked(world.app, "/readyz"))
        while not (world.pings or ready.done()):
            await asyncio.sleep(0.01)
        came, _ = await asked(world.app, "/livez", SOON)
        world.hangs = False
        await ready
        return came

    called = "GET /livez while GET /readyz waits for a store that hangs"
    expect(called, asyncio.run(alive()), 200, "Liveness waits for readiness, as for a lock: the two share nothing.")


def test_model_of_an_empty_name(answer: Any) -> None:
    says = "The model's name is an empty text, and it is there: only None means that there is none. Ask for `is None`."
    check(World(answer, "", True), "", 200, [], [(503, says)])


def production(model: Callable[[], str | None], store: Callable[[], bool]) -> FastAPI:
    """The line's own probes, on parts that the check sets; its decision log is there."""

    class ChampionWatcher:
        problem = ""

        @property
        def current(self) -> SimpleNamespace:
            version = model()
            if version is None:
                raise NotReadyError("there is no model")
            return SimpleNamespace(version=version)

    async def incompatible() -> str:
        if not store():
            raise ValkeyConnectionError("away")
        return ""

    async def reachable() -> None:
        return None

    app = FastAPI()
    app.include_router(health.router)
    app.state.services = SimpleNamespace(
        store=SimpleNamespace(incompatible=incompatible),
        breaker=SimpleNamespace(problem=""),
        champions=ChampionWatcher(),
        log=SimpleNamespace(check=reachable),
        background=SimpleNamespace(dead=list),
    )
    return app


def test_agrees_with_production(answer: Any) -> None:
    rng = random.Random(7)
    world = World(answer, None, False)
    line = production(lambda: world.parts.model, lambda: world.store)
    names = {"online_state": "store", "model": "model"}
    for step in range(60):
        if rng.random() < 0.5:
            world.parts.model = rng.choice([None, str(step)])
        else:
            world.store = rng.random() < 0.5
        live, _ = ask(line, "/livez")
        expect(f"GET /livez {world}", world.get("/livez")[0], live, "serving/api/health.py answers otherwise.")
        status, body = ask(line, "/readyz")
        assert isinstance(status, int)
        assert isinstance(body, dict)
        missing = [name for part, name in names.items() if not body["checks"][part]["ok"]]
        check(world, f" at step {step} of a long run", status, missing, [])
