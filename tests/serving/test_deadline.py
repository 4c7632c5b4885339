"""A pause of the scorer itself is no failure of a store; silence is."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import AbstractAsyncContextManager, closing

import psycopg
import pytest
import uvloop

from serving.deadline import GRACE_SECONDS, LATE_SECONDS, Deadline
from serving.decision_log import log


async def asked(deadline: AbstractAsyncContextManager[None], answer: bytes, pause: float) -> bytes:
    """What a store answers while the event loop stands still for `pause` seconds."""
    mine, store = socket.socketpair()
    with closing(store):
        reader, writer = await asyncio.open_connection(sock=mine)

        async def ask() -> bytes:
            async with deadline:
                return await reader.readexactly(2)

        task = asyncio.create_task(ask())
        await asyncio.sleep(0.01)
        store.sendall(answer)
        time.sleep(pause)
        try:
            return await task
        finally:
            writer.close()


LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.mark.parametrize("loop", LOOPS)
def test_an_answer_that_came_during_a_pause_is_read(loop: str) -> None:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        assert runner.run(asked(Deadline(0.1), b"ok", 0.1 + 2 * LATE_SECONDS)) == b"ok"


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("pause", [0.0, 0.1 + 2 * LATE_SECONDS])
def test_silence_is_a_failure_after_one_more_look_at_most(loop: str, pause: float) -> None:
    began = time.monotonic()
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner, pytest.raises(TimeoutError):
        runner.run(asked(Deadline(0.1), b"", pause))
    assert time.monotonic() - began < 0.1 + pause + 3 * GRACE_SECONDS


def test_other_errors_and_results_pass() -> None:
    async def run() -> None:
        async with Deadline(0.05):
            pass
        with pytest.raises(ValueError, match="mine"):
            async with Deadline(0.05):
                raise ValueError("mine")
        await asyncio.sleep(0.1)

    asyncio.run(run())


@pytest.mark.parametrize("late", [False, True])
def test_the_decision_log_has_a_second_look_too(late: bool) -> None:
    async def run() -> str:
        async def call() -> str:
            time.sleep(0.05 + 2 * LATE_SECONDS if late else 0)
            await asyncio.sleep(0.1)
            return "rows"

        return await log._within(0.05, call())

    if late:
        assert asyncio.run(run()) == "rows"
    else:
        with pytest.raises(psycopg.OperationalError, match="no response within"):
            asyncio.run(run())
