"""Rate limits, counted in Valkey, so that a key's rate holds for all workers together."""

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
"""The prefix of the keys in Valkey: two expiring counters for each API key with a rate, named by its digest."""


class RateCounter:
    """Counts in Valkey, or in this process while Valkey does not answer.

    Valkey's sliding window adds the weighted counter of the previous window, on Valkey's own clock, so workers with
    different clocks agree. It takes one round trip, and a second if the request is rejected.
    """

    def __init__(self, client: Valkey) -> None:
        pool: Any = client.connection_pool  # limits passes it on, but types its options as numbers and strings
        storage = RedisStorage("async+valkey://", connection_pool=pool, key_prefix=PREFIX)
        self._client = client
        self._shared = SlidingWindowCounterRateLimiter(storage)
        self._own = MovingWindowRateLimiter(MemoryStorage())
        self._away = False
        self._retry_at = -math.inf

    async def seconds_to_wait(self, rate: RateLimitItem, name: str) -> int:
        """Count one request against a rate; returns 0 if it is allowed, else the whole seconds to wait."""
        if time.monotonic() >= self._retry_at:
            if self._away:
                # One request tries Valkey; concurrent requests do not wait for it.
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
