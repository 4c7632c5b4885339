"""Runs code in another thread, or one instruction at a time, so that checks find race conditions every time."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import FrameType
from typing import Any


def in_thread(call: Callable[[], object]) -> Future[object]:
    """Call something in a daemon thread; the check can end even if the call never does."""
    future: Future[object] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def at_every_step(path: Path, call: Callable[[], object], step: Callable[[int], None]) -> int:
    """Run `call`, and call `step(n)` at each instruction of the file at `path`; returns the number of instructions."""
    steps = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal steps
        if frame.f_code.co_filename != str(path):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            step(steps)
            steps += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return steps
