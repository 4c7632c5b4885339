"""What every command begins and ends with that starts servers in the demo's folder."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from contextlib import ExitStack
from typing import IO, Final

from rich.console import Console
from rich.markup import escape

from demo.embedded_servers import ServerError
from demo.installation import DEMO
from demo.options import OptionsError
from demo.processes import adopt_orphans, end_descendants, heed_signals
from demo.steps import StepFailed

FAILED: Final = 1
WRONG_OPTION: Final = 2
INTERRUPTED: Final = 130


def run_command(console: Console, work: Callable[[ExitStack], int], *, on_the_demo: bool = False) -> int:
    """Work alone in the demo's folder; gives its exit code, or that of what went wrong, which is told in a line.

    `work` is given the stack of what is to be undone when it ends, however it ends; of the processes it started none
    stays. `on_the_demo`: it needs what a demo left.
    """
    if on_the_demo and not (DEMO / "summary.json").exists():
        console.print("[red]error:[/] nothing is there to work on yet: run `make demo` first")
        return FAILED
    lock = lock_out_others()
    if lock is None:
        console.print(f"[red]error:[/] the servers of {DEMO} are in use by another command: wait for it, or end it")
        return FAILED
    heed_signals()
    adopt_orphans()
    try:
        with ExitStack() as stack:
            return work(stack)
    except StepFailed as failed:
        said, code = (
            f"\n[red]✗ {escape(failed.name)} failed.[/] Its log: {failed.log}\n\n{escape(failed.last_lines)}",
            FAILED,
        )
    except ServerError as error:
        said, code = f"[red]error:[/] {escape(str(error))}", FAILED
    except OptionsError as error:
        said, code = f"[red]error:[/] {escape(str(error))}", WRONG_OPTION
    except KeyboardInterrupt:
        said, code = "\ninterrupted; everything it started is stopped", INTERRUPTED
    finally:
        end_descendants()
        lock.close()
    console.print(said)
    return code


def lock_out_others() -> IO[str] | None:
    """Hold the lock of the demo's folder; None where another command holds it."""
    DEMO.parent.mkdir(parents=True, exist_ok=True)
    lock = DEMO.with_suffix(".lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock
