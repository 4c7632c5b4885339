"""Large bodies count until their response, and those of one key leave room for those of another."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from serving.errors import RateExceededError
from serving.fair_queuing import CALLER
from serving.middleware.allowed_hosts import AllowedHosts
from serving.middleware.auth import CHARGE, CHARGED, MOST_ITEMS, Auth
from serving.middleware.body_limit import ITEM_BYTES, MAX_BODIES, SMALL_BYTES, BodyLimit
from serving.middleware.gateway import GatewayMiddleware
from serving.observability.metrics import Metrics

MOST = 100_000
SCOPE = {"type": "http", "path": "/v1/score/batch", "headers": [], "client": ("test", 1)}
HALF = MAX_BODIES // 2


class Open(Auth):
    """Lets every request pass."""

    def __init__(self) -> None:
        pass

    async def check(self, _: Any) -> bool:
        return True


@dataclass
class Requests:
    """Requests that the application answers once `finish` is set."""

    finish: asyncio.Event = field(default_factory=asyncio.Event)
    statuses: list[int] = field(default_factory=list)
    pieces: int = 0
    limited: GatewayMiddleware = field(init=False)

    def __post_init__(self) -> None:
        self.limited = GatewayMiddleware(self._app, Metrics(), AllowedHosts(()), Open(), BodyLimit(MOST))

    async def send(self, key: str, size: int = MOST, complete: bool = True, **scope: Any) -> None:
        """Send a body in pieces of 10,000 bytes; the last one never comes if it is not `complete`."""
        CALLER.set(key)
        left = size

        async def receive() -> Any:
            nonlocal left
            if left <= 0:
                await self.finish.wait()
                return {"type": "http.disconnect"}
            piece, left = min(left, 10_000), left - 10_000
            self.pieces += 1
            return {"type": "http.request", "body": b"x" * piece, "more_body": left > 0 or not complete}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.statuses.append(message["status"])

        await self.limited(SCOPE | scope, receive, send)

    def start(self, number: int, *arguments: Any, **options: Any) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self.send(*arguments, **options)) for _ in range(number)]

    async def _app(self, _: Any, receive: Any, send: Any) -> None:
        await receive()
        await self.finish.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})


@pytest.mark.parametrize("complete", [True, False])
def test_bodies_count_until_their_response_whether_complete_or_not(complete: bool) -> None:
    async def run() -> None:
        requests = Requests()
        waiting = requests.start(HALF, "one", complete=complete)
        await asyncio.sleep(0)
        await requests.send("one")
        assert requests.statuses == [503]
        requests.finish.set()
        await asyncio.gather(*waiting)
        await requests.send("one")
        assert requests.statuses == [503, *[200] * (complete * HALF + 1)]

    asyncio.run(run())


def test_one_key_s_bodies_leave_room_for_those_of_another() -> None:
    async def run() -> None:
        requests = Requests()
        waiting = requests.start(2 * MAX_BODIES, "many", complete=False)
        await asyncio.sleep(0)
        assert requests.statuses == [503] * (2 * MAX_BODIES - HALF)
        requests.statuses.clear()
        waiting += requests.start(2, "another")
        await asyncio.sleep(0)
        requests.finish.set()
        await asyncio.gather(*waiting)
        assert requests.statuses == [200, 200]

    asyncio.run(run())


def test_a_body_that_is_read_completely_is_not_rejected_for_its_empty_end() -> None:
    async def run() -> None:
        limit, messages = BodyLimit(MOST), asyncio.Queue[Any]()
        CALLER.set("one")
        reading = asyncio.create_task(limit.read(dict(SCOPE), messages.get, []))
        await messages.put({"type": "http.request", "body": b"x" * MOST, "more_body": True})
        await asyncio.sleep(0)
        for other in range(6):
            assert limit._under_way.take(f"other {other}", (MAX_BODIES * MOST - limit._under_way.used) // 2)
        await messages.put({"type": "http.request", "body": b"", "more_body": False})
        assert len((await reading)["body"]) == MOST

    asyncio.run(run())


def test_small_bodies_do_not_take_the_room_of_large_ones() -> None:
    async def run() -> None:
        requests = Requests()
        waiting = requests.start(MAX_BODIES * MOST // SMALL_BYTES + 1, "many", SMALL_BYTES, complete=False)
        await asyncio.sleep(0)
        waiting += requests.start(1, "many")
        await asyncio.sleep(0)
        requests.finish.set()
        await asyncio.gather(*waiting)
        assert requests.statuses == [200]

    asyncio.run(run())


def charging(most: int) -> tuple[dict[str, Any], list[int]]:
    """The entries of a key's rate in the scope, and what was counted, one after another."""
    counted: list[int] = []

    async def charge(items: int, before: int, _: str) -> None:
        if items > most:
            raise RateExceededError("too many", None)
        counted.append(items - before)

    return {MOST_ITEMS: most, CHARGE: charge, CHARGED: 1}, counted


@pytest.mark.parametrize(("most", "pieces"), [(96, 0), (97, 100_000 // 10_000)])
def test_a_declared_body_is_counted_before_it_is_read(most: int, pieces: int) -> None:
    rated, counted = charging(most)
    requests = Requests()
    requests.finish.set()
    asyncio.run(requests.send("one", headers=[(b"content-length", str(MOST).encode())], **rated))
    assert requests.pieces == pieces
    assert counted == ([MOST // ITEM_BYTES - 1] if pieces else [])
    assert requests.statuses == [200 if pieces else 429]


@pytest.mark.parametrize("size", [SMALL_BYTES, SMALL_BYTES // 2])
def test_a_small_declared_body_that_no_rate_allows_is_not_read(size: int) -> None:
    rated, _ = charging(size // ITEM_BYTES - 1)
    requests = Requests()
    asyncio.run(requests.send("one", size, headers=[(b"content-length", str(size).encode())], **rated))
    assert (requests.statuses, requests.pieces) == ([429], 0)


def test_a_body_without_a_length_is_counted_as_it_comes() -> None:
    rated, counted = charging(1)
    requests = Requests()
    asyncio.run(requests.send("one", **rated))
    assert requests.statuses == [429]
    assert requests.pieces == SMALL_BYTES // 10_000 + 1
    rated, counted = charging(MOST)
    requests = Requests()
    requests.finish.set()
    asyncio.run(requests.send("one", **rated))
    assert requests.statuses == [200]
    assert counted == [70_000 // ITEM_BYTES - 1], "not for each piece"


def test_a_single_payment_counts_one_whatever_its_size() -> None:
    rated, counted = charging(1)
    requests = Requests()
    requests.finish.set()
    asyncio.run(requests.send("one", SMALL_BYTES, path="/v1/score", **rated))
    assert requests.statuses == [200]
    assert not counted
