"""Checks the two probes' answers while a model and a store come and go. No network: httpx calls the app directly."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import httpx
from fastapi import FastAPI
from valkey.exceptions import ConnectionError as ValkeyConnectionError

from exercises.expect import Description, expect
from serving.api import health
from serving.errors import NotReadyError

SECONDS = 5.0
SOON = 1.0
REPEATED = "Check at each request: what was true at the start, or at the last request, may have changed."


PATHS: list[tuple[Any, str]] = [
    (404, "There is no such path: is it declared with `@app.get`?"),
    (405, "The path exists, but not for GET: use `@app.get`."),
    (307, "The path has a trailing slash, so the caller is redirected: remove the slash."),
]


class StoreAwayError(ConnectionError):
    """What the check's store raises while it is down."""


class World:
    """The two parts as the check sets them, and how often the store was asked."""

    def __init__(self, answer: Any, model: str | None, store: bool) -> None:
        self.store, self.hangs, self.pings = store, False, 0
        self.parts = answer.Parts(model=model, ping_store=self._ping)
        self.app = answer.create_app(self.parts)
        expect("create_app(parts)", type(self.app), FastAPI, "it must return the application: keep its last line")

    async def _ping(self) -> None:
        self.pings += 1
        while self.hangs:
            await asyncio.sleep(0.01)
        if not self.store:
            raise StoreAwayError("the store is unavailable")

    def get(self, path: str) -> tuple[object, object]:
        """Status and body of an answer, or a description."""
        return ask(self.app, path)

    def __str__(self) -> str:
        model = "no model" if self.parts.model is None else f"model {self.parts.model!r}"
        return f"with {model} and {'a' if self.store else 'no'} store"


def ask(app: Any, path: str) -> tuple[object, object]:
    """Status and body of an application's answer, in a new event loop."""
    return asyncio.run(asked(app, path))


async def asked(app: Any, path: str, seconds: float = SECONDS) -> tuple[object, object]:
    """Status and body of an application's answer; a description if it raises or does not answer."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://scorer") as client:
        try:
            response = await asyncio.wait_for(client.get(path), seconds)
        except StoreAwayError:
            return Description("500: the store's ConnectionError escaped"), {}
        except TimeoutError:
            return Description(f"no answer within {seconds:.0f} s"), {}
    try:
        return response.status_code, response.json()
    except ValueError:
        return response.status_code, Description(f"a body that is not JSON: {response.text!r}")


def missing_of(body: object) -> object:
    """The names under `missing`, sorted; a description if there are none."""
    names = body.get("missing") if isinstance(body, dict) else None
    if isinstance(names, list):
        return sorted(map(str, names))
    return body if isinstance(body, Description) else Description(f"no list `missing` in {body!r}")


def check(world: World, when: str, status: int, missing: Sequence[str], mistakes: Sequence[tuple[Any, str]]) -> None:
    """Compare what /readyz answers."""
    call = f"GET /readyz {world}{when}"
    actual, body = world.get("/readyz")
    only_said = (
        lambda actual: actual == 200 and missing and missing_of(body) == sorted(missing),
        "200 means that payments may be sent here, whatever the body says: a load balancer reads only the status. The "
        "body is for people.",
    )
    escaped = (
        lambda actual: isinstance(actual, Description) and actual.startswith("500"),
        "The exception reaches the caller. A store that is down is an expected answer, not an error: catch it.",
    )
    otherwise = f"A load balancer reads only the status: it must be {status} here."
    expect(call, actual, status, otherwise, [only_said, *mistakes, escaped, *PATHS])
    wrapped = isinstance(body, dict) and isinstance(body.get("detail"), dict)
    says = "HTTPException puts its argument under `detail`: return your own response." if wrapped else (
        'The body is {"ready": ..., "missing": [...]}: the person on call reads there which part to check.'
    )  # fmt: skip
    fewer = (
        lambda actual: len(missing) == 2 and actual in (["model"], ["store"]),
        "Both are missing, and the body names one: check both before you answer.",
    )
    pair = (
        lambda _: isinstance(body, list) and body[-1:] in ([200], [503]),
        "FastAPI turns a pair of body and status into a list, and answers 200: pass the status to a response.",
    )
    expect(f"missing, in the body of {call}", missing_of(body), sorted(missing), says, [fewer, pair])
    ready = body.get("ready") if isinstance(body, dict) else None
    expect(f"ready, in the body of {call}", ready, not missing, "`ready` in the body must match the status.")


def test_ready(answer: Any) -> None:
    check(World(answer, "7", True), "", 200, [], [(503, "Nothing is missing: payments can be scored.")])


def test_one_part_is_there(answer: Any) -> None:
    no_model = "Without a model nothing can be scored: the store alone does not make the scorer ready."
    check(World(answer, None, True), "", 503, ["model"], [(200, no_model)])
    no_store = "The store is down, and was not checked. That it exists does not mean that it answers: await it."
    check(World(answer, "7", False), "", 503, ["store"], [(200, no_store)])


def test_nothing_is_there(answer: Any) -> None:
    check(World(answer, None, False), "", 503, ["model", "store"], [(200, "Nothing can be scored: both are missing.")])


def test_parts_come(answer: Any) -> None:
    world = World(answer, None, False)
    check(world, " at the start", 503, ["model", "store"], [])
    world.parts.model, world.store = "7", True
    check(world, ", both come since the start", 200, [], [(503, f"It never becomes ready. {REPEATED}")])


def test_parts_go(answer: Any) -> None:
    world = World(answer, "7", True)
    check(world, " at the start", 200, [], [])
    world.store = False
    says = f"It stays ready although the store is down. {REPEATED}"
    check(world, ", what is missing went after the last request", 503, ["store"], [(200, says)])
    world.parts.model, world.store = None, True
    says = f"It stays ready although the model is gone. {REPEATED}"
    check(world, ", what is missing went after the last request", 503, ["model"], [(200, says)])


def test_alive_all_along(answer: Any) -> None:
    says = (
        "Liveness depends on readiness. A failing /livez restarts the process; that does not bring a store back, and a "
        "scorer in a restart loop is not there when it does."
    )
    mistakes: list[tuple[Any, str]] = [
        (lambda actual: actual == 503 or isinstance(actual, Description), says),
        *PATHS,
    ]
    for model, store in ((None, False), ("7", False), (None, True), ("7", True)):
        world = World(answer, model, store)
        expect(f"GET /livez {world}", world.get("/livez")[0], 200, "200 as long as the process answers.", mistakes)
        says_asked = "A hanging store would delay the answer, and a live process would be restarted: check no part."
        expect(f"how often GET /livez {world} asked the store", world.pings, 0, says_asked)


def test_alive_while_the_store_hangs(answer: Any) -> None:
    world = World(answer, "7", True)
    world.hangs = True

    async def alive() -> object:
        ready = asyncio.create_task(asked(world.app, "/readyz"))
        while not (world.pings or ready.done()):
            await asyncio.sleep(0.01)
        actual, _ = await asked(world.app, "/livez", SOON)
        world.hangs = False
        await ready
        return actual

    call = "GET /livez while GET /readyz waits for a store that hangs"
    expect(
        call,
        asyncio.run(alive()),
        200,
        "Liveness waits for readiness, perhaps for a lock: share nothing.",
    )


def test_model_of_an_empty_name(answer: Any) -> None:
    says = (
        "The model's name is an empty string, but the model exists: only None means that there is none. Test `is None`."
    )
    check(World(answer, "", True), "", 200, [], [(503, says)])


def production(model: Callable[[], str | None], store: Callable[[], bool]) -> FastAPI:
    """The pipeline's own probes, on parts that the check controls; its decision log is up."""

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
        backpressure=SimpleNamespace(problem="", state="empty"),
        server=SimpleNamespace(problem="", note=""),
        relays=(),
        background=SimpleNamespace(dead=list),
    )
    return app


def test_agrees_with_production(answer: Any) -> None:
    rng = random.Random(7)
    world = World(answer, None, False)
    app = production(lambda: world.parts.model, lambda: world.store)
    names = {"online_state": "store", "model": "model"}
    for step in range(60):
        if rng.random() < 0.5:
            world.parts.model = rng.choice([None, str(step)])
        else:
            world.store = rng.random() < 0.5
        live, _ = ask(app, "/livez")
        expect(f"GET /livez {world}", world.get("/livez")[0], live, "serving/api/health.py answers otherwise.")
        status, body = ask(app, "/readyz")
        assert isinstance(status, int)
        assert isinstance(body, dict)
        missing = [name for part, name in names.items() if not body["checks"][part]["ok"]]
        check(world, f" at step {step} of a long run", status, missing, [])
