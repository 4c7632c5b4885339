"""Find the processes of a submitted job in /proc, and stop them."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path


def tree(root: int) -> dict[int, str]:
    """A process and its descendants, by pid: `jvm`, `driver`, `daemon` or `worker`."""
    parents, commands = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            # A process may end while it is inspected.
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
                if fields[0] != "Z":
                    parents[int(entry.name)], commands[int(entry.name)] = int(fields[1]), command
    found, left = {}, [root] if root in parents else []
    while left:
        pid = left.pop()
        found[pid] = _kind(commands[pid], commands.get(parents[pid], ""))
        left += [child for child, parent in parents.items() if parent == pid]
    return found


def send(pids: Iterable[int], what: signal.Signals) -> None:
    """Send a signal to these processes; ended ones are skipped."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, what)


def wait_until_gone(pids: Iterable[int], seconds: float = 30) -> None:
    """Wait until all of these have ended. Raises TimeoutError."""
    end = time.monotonic() + seconds
    left = list(pids)
    while left := [pid for pid in left if tree(pid)]:
        if time.monotonic() > end:
            raise TimeoutError(f"still running: {left}")
        time.sleep(0.05)


def _kind(command: str, parent: str) -> str:
    if "pyspark.daemon" in command:
        return "worker" if "pyspark.daemon" in parent else "daemon"
    if "java" in command.split("\0", maxsplit=1)[0] or "SparkSubmit" in command:
        return "jvm"
    return "driver"
