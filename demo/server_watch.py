"""Watch the servers of a run: if one ends, the run fails and names it."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Final, Self

from demo.embedded_servers import Server, tail
from demo.step_runner import StepFailed

LOOK_SECONDS: Final = 0.5


class ServerWatch:
    """A context manager that raises `StepFailed` in the main thread as soon as a watched server ends.

    It interrupts any wait of the main thread. Enter it there, and leave it before the servers are stopped.
    """

    def __init__(self) -> None:
        self._servers: list[Server] = []
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def add(self, *servers: Server) -> None:
        """Watch these servers too."""
        self._servers.extend(servers)

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGUSR1, self._interrupt)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        self._thread.join()
        signal.signal(signal.SIGUSR1, self._before)
        # If a server ended, report that instead of the error that followed from it.
        if isinstance(error, Exception) and (ended := self._ended()) is not None:
            raise failure(ended) from error

    def _watch(self) -> None:
        while not self._left.wait(LOOK_SECONDS):
            if self._ended() is not None:
                # Only a signal interrupts a thread that waits for a child process or a socket.
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
                return

    def _ended(self) -> Server | None:
        return next((server for server in list(self._servers) if server.process.poll() is not None), None)

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        if (ended := self._ended()) is not None and not self._left.is_set():
            raise failure(ended)


def failure(server: Server) -> StepFailed:
    """The failure to raise for a server that ended while it was needed."""
    code = server.process.returncode
    how = f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return StepFailed(f"{server.name} ({how})", server.log, tail(server.log))
