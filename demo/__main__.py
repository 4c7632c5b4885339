"""The command behind `make demo`."""

from __future__ import annotations

import sys
from contextlib import ExitStack

from rich.console import Console

from demo.command import run_command
from demo.installation import DEMO
from demo.options import read_options
from demo.processes import MemoryWatch
from demo.run import run_pipeline
from demo.step_runner import Steps


def main() -> int:
    """Run the demo; returns its exit code."""
    console = Console(highlight=False, soft_wrap=True)

    def work(stack: ExitStack) -> int:
        options = read_options()
        with MemoryWatch() as watch:
            summary = run_pipeline(options, Steps(console), watch, stack)
        # Stop every server before printing the result.
        stack.close()
        summary.write(DEMO / "summary.json")
        summary.show(console)
        console.print(f"Also written to {DEMO / 'summary.json'}. Run `make serve` to start the scorer on this data.")
        return 0 if summary.live_mismatches == 0 else 1

    return run_command(console, work)


if __name__ == "__main__":
    sys.exit(main())
