"""Bodies count until their response: a batch that waits for its turn is in memory meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

from serving.middleware.allowed_hosts import AllowedHosts
from serving.middleware.auth import Auth
from serving.middleware.body_limit import MAX_BODIES, BodyLimit
from serving.middleware.gateway import GatewayMiddleware
from serving.observability.metrics import Metrics

MOST = 100_000
SCOPE = {"type": "http", "path": "/v1/score/batch", "headers": [], "client": ("test", 1)}


class Open(Auth):
    """Lets every request pass."""

    def __init__(self) -> None:
        pass

    async def check(self, _: Any) -> bool:
        return True


def test_bodies_of_requests_that_wait_count_too() -> None:
    finish = asyncio.Event()
    statuses: list[int] = []

    async def app(_: Any, receive: Any, send: Any) -> None:
        await receive()
        await finish.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    limited = GatewayMiddleware(app, Metrics(), AllowedHosts(()), Open(), BodyLimit(MOST))

    async def request() -> None:
        async def receive() -> Any:
            return {"type": "http.request", "body": b"x" * MOST, "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        await limited(dict(SCOPE), receive, send)

    async def run() -> None:
        waiting = [asyncio.create_task(request()) for _ in range(MAX_BODIES)]
        await asyncio.sleep(0)
        await request()
        assert statuses == [503]
        finish.set()
        await asyncio.gather(*waiting)
        await request()

    asyncio.run(run())
    assert statuses == [503, *[200] * (MAX_BODIES + 1)]
