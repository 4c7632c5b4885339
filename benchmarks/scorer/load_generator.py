"""Run the load generator: wrk where it is installed, else `benchmarks/scorer/load.py`.

wrk takes less CPU than a client in Python, which matters because the servers share its cores.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from benchmarks.scorer.files import KEY_VARIABLE
from benchmarks.scorer.options import WARM_UP_SECONDS
from demo.embedded_servers import ROOT
from demo.environment import own_environment
from demo.installation import python_of

SCRIPT: Final = Path(__file__).with_name("wrk.lua")
WRK, PYTHON = "wrk", "benchmarks.scorer.load"
Found = dict[str, Any]


class LoadError(Exception):
    """The load generator failed; the message has its last output."""


@dataclass(frozen=True)
class Load:
    """What to send: the lines of `bodies` from line `skip` on, to `url`, by concurrent clients for some seconds."""

    url: str
    bodies: Path
    skip: int
    clients: int
    seconds: float


def generator() -> str:
    """Which load generator is used on this machine."""
    return WRK if shutil.which(WRK) else PYTHON


def measure(load: Load, key: str, by: str) -> Found:
    """Generate load by `WRK` or `PYTHON` and summarise the responses after a warm-up, as `load.py` prints it.

    `sent` includes the warm-up. Raises `LoadError`.
    """
    if by == PYTHON:
        return _run(python_command(load), key)
    warm_up = _run(wrk_command(replace(load, seconds=WARM_UP_SECONDS)), key)
    found = _run(wrk_command(replace(load, skip=load.skip + warm_up["sent"])), key)
    return found | {name: found[name] + warm_up[name] for name in ("sent", "failed")}


def wrk_command(load: Load) -> list[str]:
    """The command line of wrk, which knows whole seconds only."""
    command = [WRK, "--threads", "1", "--connections", str(load.clients), "--timeout", "30s"]
    command += ["--duration", f"{max(1, round(load.seconds))}s", "--script", str(SCRIPT), load.url]
    return [*command, "--", str(load.bodies), str(load.skip)]


def python_command(load: Load) -> list[str]:
    """The command line of the generator in Python."""
    command = [str(python_of("serving")), "-m", PYTHON, "--url", load.url, "--bodies", str(load.bodies)]
    command += ["--skip", str(load.skip), "--clients", str(load.clients)]
    return [*command, "--seconds", str(load.seconds), "--warm-up", str(WARM_UP_SECONDS)]


def _run(command: list[str], key: str) -> Found:
    environment = own_environment({KEY_VARIABLE: key})
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LoadError((done.stderr or done.stdout)[-1_000:])
    return last_line(done.stdout)


def last_line(output: str) -> Found:
    """The summary, which is the last line of the output. Raises `LoadError` without one."""
    try:
        found: Found = json.loads(output.splitlines()[-1])
    except (IndexError, ValueError):
        raise LoadError(output[-1_000:]) from None
    return found
