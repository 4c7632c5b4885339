"""`make demo`."""

from __future__ import annotations

import fcntl
import sys
from contextlib import ExitStack
from typing import IO

from rich.console import Console
from rich.markup import escape

from demo.options import OptionsError, read_options
from demo.place import DEMO
from demo.processes import MemoryWatch, adopt_orphans, end_descendants, heed_signals
from demo.run import run_line
from demo.servers import ServerError
from demo.steps import StepFailed, Steps

INTERRUPTED = 130


def main() -> int:
    """Run the demo; returns its exit code."""
    console = Console(highlight=False, soft_wrap=True)
    try:
        options = read_options()
    except OptionsError as error:
        console.print(f"[red]error:[/] {escape(str(error))}")
        return 2
    lock = lock_out_others()
    if lock is None:
        console.print(f"[red]error:[/] another demo is running in {DEMO}: wait for it, or end it")
        return 1
    heed_signals()
    adopt_orphans()
    try:
        with MemoryWatch() as watch, ExitStack() as stack:
            summary = run_line(options, Steps(console), watch, stack)
    except StepFailed as failed:
        console.print(f"\n[red]✗ {escape(failed.name)} failed.[/] Its log: {failed.log}\n\n{escape(failed.last_lines)}")
        return 1
    except ServerError as error:
        console.print(f"[red]error:[/] {escape(str(error))}")
        return 1
    except KeyboardInterrupt:
        console.print("\ninterrupted; everything it started is stopped")
        return INTERRUPTED
    finally:
        end_descendants()
        lock.close()
    summary.write(DEMO / "summary.json")
    summary.show(console)
    console.print(f"The same facts: {DEMO / 'summary.json'}. `make serve` starts the scorer on what this left.")
    return 0 if summary.live_mismatches == 0 else 1


def lock_out_others() -> IO[str] | None:
    """Hold the lock of the demo's folder; None where another demo holds it."""
    DEMO.parent.mkdir(parents=True, exist_ok=True)
    lock = DEMO.with_suffix(".lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock


if __name__ == "__main__":
    sys.exit(main())
