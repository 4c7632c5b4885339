"""The demo's child processes: measure their memory and stop them all at the end."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final

import psutil

from demo.embedded_servers import die_with_parent

PR_SET_CHILD_SUBREAPER: Final = 36
SAMPLE_SECONDS: Final = 1.0
GRACE_SECONDS: Final = 5


def interrupt_on_signals() -> None:
    """Raise KeyboardInterrupt on Ctrl-C, on SIGTERM, and (on Linux) when the parent process, make, ends.

    SIGINT is set explicitly because a shell starts background commands with SIGINT ignored.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    die_with_parent()


def adopt_orphans() -> None:
    """On Linux, become the parent of orphaned descendants, so that `stop_descendants` finds them."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants() -> list[psutil.Process]:
    """All child processes, recursively."""
    found: list[psutil.Process] = psutil.Process().children(recursive=True)
    return found


def stop_descendants() -> int:
    """Stop all descendants, by SIGTERM and after 5 seconds by SIGKILL; returns how many there were."""
    left = [process for process in descendants() if process.status() != psutil.STATUS_ZOMBIE]
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in psutil.wait_procs(left, timeout=GRACE_SECONDS)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=GRACE_SECONDS)
    return len(left)


def proportional_memory(processes: list[psutil.Process]) -> int:
    """The memory of some processes in bytes: PSS on Linux (shared pages counted once), else the resident size."""
    return sum(_memory(process) for process in processes)


def _memory(process: psutil.Process) -> int:
    try:
        with open(f"/proc/{process.pid}/smaps_rollup") as rollup:
            return next(int(line.split()[1]) * 1024 for line in rollup if line.startswith("Pss:"))
    except (OSError, StopIteration):
        pass
    try:
        return process.memory_info().rss if sys.platform != "linux" else 0
    except psutil.Error:
        return 0


def descendants_mb() -> float:
    """The memory of all descendants, in MiB."""
    with contextlib.suppress(psutil.Error):
        return proportional_memory(descendants()) / 2**20
    return 0.0


class MemoryWatch:
    """A context manager that samples memory every second; `peak_mb` is the maximum, in MiB.

    Re-raises any sampling error at exit.
    """

    def __init__(self, sample: Callable[[], float] = descendants_mb) -> None:
        self.peak_mb = 0.0
        self._sample = sample
        self._error: Exception | None = None
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        if self._error and error is None:
            raise self._error

    def _watch(self) -> None:
        try:
            while True:
                self.peak_mb = max(self.peak_mb, self._sample())
                if self._done.wait(SAMPLE_SECONDS):
                    return
        except Exception as error:
            # Re-raised at exit: a peak with a gap in its samples would be wrong.
            self._error = error
