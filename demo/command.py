"""Set-up, clean-up and error messages shared by the commands that start servers in the demo's folder."""

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
from demo.processes import adopt_orphans, interrupt_on_signals, stop_descendants
from demo.step_runner import StepFailed

FAILED: Final = 1
WRONG_OPTION: Final = 2
INTERRUPTED: Final = 130


def run_command(console: Console, work: Callable[[ExitStack], int], *, on_the_demo: bool = False) -> int:
    """Run `work` while holding the demo's lock; returns its exit code, or prints an error and returns 1, 2 or 130.

    `work` registers its clean-up on the stack it receives. Every process it started is stopped before this returns.
    `on_the_demo`: the command needs the data of a finished demo.
    """
    if on_the_demo and not (DEMO / "summary.json").exists():
        console.print("[red]error:[/] there is no demo data yet: run `make demo` first")
        return FAILED
    lock = lock_demo()
    if lock is None:
        console.print(f"[red]error:[/] the servers of {DEMO} are in use by another command: wait for it or stop it")
        return FAILED
    interrupt_on_signals()
    adopt_orphans()
    try:
        with ExitStack() as stack:
            return work(stack)
    except StepFailed as failed:
        message, code = (
            f"\n[red]✗ {escape(failed.name)} failed.[/] Log: {failed.log}\n\n{escape(failed.last_lines)}",
            FAILED,
        )
    except ServerError as error:
        message, code = f"[red]error:[/] {escape(str(error))}", FAILED
    except OptionsError as error:
        message, code = f"[red]error:[/] {escape(str(error))}", WRONG_OPTION
    except KeyboardInterrupt:
        message, code = "\ninterrupted; all servers are stopped", INTERRUPTED
    finally:
        stop_descendants()
        lock.close()
    console.print(message)
    return code


def lock_demo() -> IO[str] | None:
    """Take the lock on the demo's folder; None if another command holds it."""
    DEMO.parent.mkdir(parents=True, exist_ok=True)
    lock = DEMO.with_suffix(".lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock
