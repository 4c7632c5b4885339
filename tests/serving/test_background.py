"""Background tasks: one that ends is known to be dead, and stopping ends the others."""

from __future__ import annotations

import asyncio

from serving.background import Background


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
