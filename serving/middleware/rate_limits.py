"""Rate limits, counted in Valkey, so that a key's rate holds for all workers together."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from limits import RateLimitItem
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter, RateLimiter, SlidingWindowCounterRateLimiter
from valkey.asyncio import Valkey
from valkey.exceptions import ValkeyError

from serving.fair_queuing import FairTurns
from serving.observability.logging import event
from serving.retries import SHARED_RATES_SECONDS

AT_ONCE: Final = 16
"""Requests that are counted in Valkey at a time. The others wait: were the pool of connections used up, it would look
as if Valkey did not answer, and each worker would count alone."""
PREFIX: Final = "rate"
"""The prefix of the keys in Valkey: two expiring counters for each API key with a rate, named by its digest."""
Reset = Callable[[RateLimitItem, str], Awaitable[bool]]
"""Forgets the windows of a name that come from a wrong clock; returns whether there were any."""


class RateCounter:
    """Counts in Valkey, or in this process while Valkey does not answer.

    Valkey's sliding window adds the weighted counter of the previous window, on Valkey's own clock, so workers with
    different clocks agree. It takes one round trip, and two more if the request is rejected. A clock that went back
    does not prolong a window.
    """

    def __init__(self, client: Valkey) -> None:
        pool: Any = client.connection_pool  # limits passes it on, but types its options as numbers and strings
        self._client = client
        self._shared_windows = RedisStorage("async+valkey://", connection_pool=pool, key_prefix=PREFIX)
        self._own_windows = MemoryStorage()
        self._shared = SlidingWindowCounterRateLimiter(self._shared_windows)
        self._own = MovingWindowRateLimiter(self._own_windows)
        self._away = False
        self._retry_at = -math.inf
        self._counting = FairTurns(AT_ONCE)

    async def seconds_to_wait(self, rate: RateLimitItem, name: str, cost: int = 1) -> int:
        """Count `cost` payments against a rate; returns 0 if they are allowed, else the whole seconds to wait.

        If they are not allowed, none is counted.
        """
        if time.monotonic() >= self._retry_at:
            async with self._counting:
                wait = await self._count_shared(rate, name, cost)
            if wait is not None:
                return wait
        return await _count(self._own, self._reset_own, rate, name, cost)

    async def _count_shared(self, rate: RateLimitItem, name: str, cost: int) -> int | None:
        """The seconds to wait as Valkey counts them, None if it does not answer."""
        if time.monotonic() < self._retry_at:
            # It failed while this request waited.
            return None
        if self._away:
            # One request tries Valkey; concurrent requests do not wait for it.
            self._retry_at = time.monotonic() + SHARED_RATES_SECONDS
        try:
            wait = await _count(self._shared, self._reset_shared, rate, name, cost)
        except ValkeyError as error:
            self._fall_back(error)
            return None
        self._recover()
        return wait

    async def aclose(self) -> None:
        """Close the connections to Valkey."""
        await self._client.aclose(close_connection_pool=True)

    async def _reset_shared(self, rate: RateLimitItem, name: str) -> bool:
        length = rate.get_expiry()
        _, previous, _, current = await self._shared_windows.get_sliding_window(rate.key_for(name), length)
        # A current window is kept for another length, as the next one's previous. Longer: Valkey's clock went back.
        if wrong := previous > length or current > 2 * length:
            await self._shared.clear(rate, name)
        return wrong

    async def _reset_own(self, rate: RateLimitItem, name: str) -> bool:
        newest = next(iter(self._own_windows.events.get(rate.key_for(name), ())), None)
        if wrong := newest is not None and newest.atime > time.time():
            await self._own.clear(rate, name)
        return wrong

    def _fall_back(self, error: ValkeyError) -> None:
        self._retry_at = time.monotonic() + SHARED_RATES_SECONDS
        if not self._away:
            self._away = True
            event("rates counted by each worker", logging.WARNING, reason=f"Valkey is not responding: {error!r}")

    def _recover(self) -> None:
        self._retry_at = -math.inf
        if self._away:
            self._away = False
            event("rates counted in Valkey again")


async def _count(limiter: RateLimiter, reset: Reset, rate: RateLimitItem, name: str, cost: int) -> int:
    if await limiter.hit(rate, name, cost=cost) or (
        await reset(rate, name) and await limiter.hit(rate, name, cost=cost)
    ):
        return 0
    # When the oldest count leaves the window there is room for one; after a whole window there is for more.
    window = await limiter.get_window_stats(rate, name)
    wait = window.reset_time - time.time() if cost == 1 else math.inf
    return max(1, math.ceil(min(wait, rate.get_expiry())))
