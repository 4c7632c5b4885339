"""Run and print the demo's steps, each with its name, duration and, on failure, its log."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from demo.embedded_servers import ROOT, tail
from demo.installation import Installation, python_of


class StepFailed(Exception):
    """A step failed; holds its name, its log and the log's last lines."""

    def __init__(self, name: str, log: Path, last_lines: str) -> None:
        super().__init__(f"{name} failed; log: {log}")
        self.name, self.log, self.last_lines = name, log, last_lines


@dataclass
class Steps:
    """Runs steps and records the finished ones with their duration in seconds."""

    console: Console
    done: list[dict[str, Any]] = field(default_factory=list)

    def record(self, name: str, seconds: float, note: str = "") -> None:
        """Record and print a finished step."""
        self.done.append({"name": name, "seconds": round(seconds, 2)})
        self.console.print(f"[green]✓[/] {name:<34}[dim]{seconds:7.1f} s[/]  {escape(note)}")

    @contextmanager
    def step(self, name: str) -> Iterator[Status]:
        """Time the body as a step and show it while it runs."""
        start = time.monotonic()
        if not self.console.is_terminal:
            self.console.print(f"· {name} …")
        with self.console.status(f"{name} …") as status:
            yield status
        self.record(name, time.monotonic() - start)

    def command(self, name: str, installation: Installation, module: str, *options: str) -> dict[str, Any]:
        """Run `python -m module` as a step; returns its last output line, parsed as JSON. Raises `StepFailed`."""
        start = time.monotonic()
        log = installation.logs / f"{name.replace(' ', '-')}.log"
        command = [str(python_of("pipeline")), "-m", module, *options]
        if not self.console.is_terminal:
            self.console.print(f"· {name} …")
        with log.open("wb") as out:
            # In a terminal, the command's own progress bar is shown.
            errors = None if self.console.is_terminal else out
            done = subprocess.run(
                command, env=installation.environment(), cwd=ROOT, stdout=out, stderr=errors, check=False
            )
        if done.returncode != 0:
            raise StepFailed(name, log, tail(log))
        result: dict[str, Any] = _last_json(log)
        self.record(name, time.monotonic() - start)
        return result


def _last_json(log: Path) -> Any:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("{")]
    return json.loads(lines[-1])
