"""Everything that the demo started: how much memory it takes together, and that nothing of it stays."""

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


def heed_signals() -> None:
    """Be interrupted by Ctrl-C, by SIGTERM, and (on Linux) by the end of the make that started us.

    Stated even for Ctrl-C: a shell that starts a command in the background has it ignore that.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    die_with_parent()


def adopt_orphans() -> None:
    """Have Linux hand us the processes whose own parents end, so that none slips away."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants() -> list[psutil.Process]:
    """Every process that we started, however far down."""
    found: list[psutil.Process] = psutil.Process().children(recursive=True)
    return found


def end_descendants() -> int:
    """End what is left: asked first, then by force; returns how many there were."""
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
    """The memory of some processes in bytes: shared pages counted once (PSS), or the resident size without PSS."""
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
    """The memory of all that we started, in MiB."""
    with contextlib.suppress(psutil.Error):
        return proportional_memory(descendants()) / 2**20
    return 0.0


class MemoryWatch:
    """Samples memory, in MiB, until it is left; `peak_mb` is the most it saw."""

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
            # A peak of which part was not seen is none.
            self._error = error
