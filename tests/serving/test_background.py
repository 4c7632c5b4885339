"""Background tasks: an ended task is reported as dead, and stopping ends the others."""

from __future__ import annotations

import asyncio

from serving.observability.background import Background


def test_a_task_that_ends_is_dead_and_the_others_are_stopped() -> None:
    ended = []

    async def fails() -> None:
        raise OSError("of a test")

    async def lives() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("lives")

    async def scenario() -> list[str]:
        background = Background()
        background.start("fails", fails())
        background.start("lives", lives())
        await asyncio.sleep(0)
        dead = background.dead()
        await background.stop()
        return dead

    assert asyncio.run(scenario()) == ["fails"]
    assert ended == ["lives"]


def test_a_task_that_swallows_its_cancellation_is_cancelled_again() -> None:
    """Like `asyncio.wait_for` on Python 3.11 when its awaitable completes at the same moment."""
    swallowed = []

    async def swallows() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if swallowed:
                    raise
                swallowed.append("once")

    async def scenario() -> None:
        background = Background()
        background.start("swallows", swallows())
        await asyncio.sleep(0)
        stopping = asyncio.create_task(background.stop())
        done, _ = await asyncio.wait([stopping], timeout=5)
        assert done, "it hangs"

    asyncio.run(scenario())
    assert swallowed == ["once"]
