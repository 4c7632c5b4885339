"""Requests per key, counted in Valkey for all workers together, so that a rate holds however many there are."""

from __future__ import annotations

import logging
import math
import time
from typing import Any, Final

from limits import RateLimitItem
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter, RateLimiter, SlidingWindowCounterRateLimiter
from valkey.asyncio import Valkey
from valkey.exceptions import ValkeyError

from serving.observability.logging import event
from serving.retries import SHARED_RATES_SECONDS

PREFIX: Final = "rate"
"""Of the keys in Valkey: two counters for each API key with a rate, by its digest, which expire by themselves."""


class RateCounter:
    """Counts in Valkey; while that does not answer, in this process.

    In Valkey a window slides by weighing the counter of the window before, timed by Valkey's own clock: workers on
    machines whose clocks differ count alike. It costs one trip, and a second one where a request is refused.
    """

    def __init__(self, client: Valkey) -> None:
        pool: Any = client.connection_pool  # limits hands it on, and types its options as numbers and texts
        storage = RedisStorage("async+valkey://", connection_pool=pool, key_prefix=PREFIX)
        self._client = client
        self._shared = SlidingWindowCounterRateLimiter(storage)
        self._own = MovingWindowRateLimiter(MemoryStorage())
        self._away = False
        self._retry_at = -math.inf

    async def seconds_to_wait(self, rate: RateLimitItem, name: str) -> int:
        """Count one request against a rate: 0 where it may pass, else whole seconds until it may."""
        if time.monotonic() >= self._retry_at:
            if self._away:
                # One request tries Valkey; those that come meanwhile do not wait for it.
                self._retry_at = time.monotonic() + SHARED_RATES_SECONDS
            try:
                wait = await _count(self._shared, rate, name)
            except ValkeyError as error:
                self._fall_back(error)
            else:
                self._recover()
                return wait
        return await _count(self._own, rate, name)

    async def aclose(self) -> None:
        """Close the connections to Valkey."""
        await self._client.aclose(close_connection_pool=True)

    def _fall_back(self, error: ValkeyError) -> None:
        self._retry_at = time.monotonic() + SHARED_RATES_SECONDS
        if not self._away:
            self._away = True
            event("rates counted by each worker", logging.WARNING, reason=f"Valkey does not answer: {error!r}")

    def _recover(self) -> None:
        self._retry_at = -math.inf
        if self._away:
            self._away = False
            event("rates counted in Valkey again")


async def _count(limiter: RateLimiter, rate: RateLimitItem, name: str) -> int:
    if await limiter.hit(rate, name):
        return 0
    window = await limiter.get_window_stats(rate, name)
    return max(1, math.ceil(window.reset_time - time.time()))
