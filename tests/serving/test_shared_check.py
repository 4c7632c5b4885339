"""A check is shared by those who ask for it at the same time."""

from __future__ import annotations

import asyncio

from serving.observability.shared_check import SharedCheck


def test_simultaneous_callers_share_one_check_and_later_ones_get_a_new_one() -> None:
    done = 0

    async def check() -> int:
        nonlocal done
        await asyncio.sleep(0.01)
        done += 1
        return done

    async def run() -> None:
        shared = SharedCheck(check)
        assert await asyncio.gather(*(shared.result() for _ in range(50))) == [1] * 50
        assert await shared.result() == 2

    asyncio.run(run())


def test_a_caller_that_goes_away_does_not_end_the_check_of_others() -> None:
    async def check() -> str:
        await asyncio.sleep(0.02)
        return "done"

    async def run() -> None:
        shared = SharedCheck(check)
        first, second = (asyncio.create_task(shared.result()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == "done"

    asyncio.run(run())


def test_a_failed_check_fails_for_all_and_is_not_kept() -> None:
    failures = [ValueError("no")]

    async def check() -> str:
        await asyncio.sleep(0)
        if failures:
            raise failures.pop()
        return "done"

    async def run() -> None:
        shared = SharedCheck(check)
        told = await asyncio.gather(shared.result(), shared.result(), return_exceptions=True)
        assert [str(error) for error in told] == ["no", "no"]
        assert await shared.result() == "done"

    asyncio.run(run())
