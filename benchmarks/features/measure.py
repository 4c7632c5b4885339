"""Run a command and measure its whole process tree: wall time, CPU time and peak memory."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from demo.embedded_servers import ROOT
from demo.processes import proportional_memory

SAMPLE_SECONDS: Final = 0.1
_Seconds = dict[tuple[int, float], float]


@dataclass(frozen=True)
class Measured:
    """A finished command: its exit code, wall and CPU seconds (user and system), and peak memory in MiB."""

    code: int
    seconds: float
    cpu_seconds: float
    peak_mb: float


def measure(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Measured:
    """Run `command` in the project's folder with its output in `log`.

    CPU time is what the kernel accounts to the tree, or, if larger, the sum of the last samples of all processes: a
    process whose parent does not wait for it is not accounted. Memory (PSS on Linux) is sampled ten times a second.
    """
    started, seen, peak = time.monotonic(), _Seconds(), 0
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
        while True:
            tree = _tree(process.pid)
            peak = max(peak, proportional_memory(tree))
            _note_cpu(tree, seen)
            ended, status, used = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            time.sleep(SAMPLE_SECONDS)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - started
    cpu = max(used.ru_utime + used.ru_stime, sum(seen.values()))
    return Measured(process.returncode, round(seconds, 2), round(cpu, 2), round(peak / 2**20, 1))


def _tree(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _note_cpu(tree: Sequence[psutil.Process], seen: _Seconds) -> None:
    for process in tree:
        try:
            times = process.cpu_times()
            seen[process.pid, process.create_time()] = times.user + times.system
        except psutil.Error:
            # It ended between the listing and the look: its last sample counts.
            continue
