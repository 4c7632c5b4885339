"""A progress bar on standard error, for a person; nothing on standard output, which is for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextmanager
def progress_of(what: str, total: int | None, unit: str = "payments") -> Iterator[Callable[[int], None]]:
    """Show how far `what` is; the value is called with how much more is done."""
    done = 0
    console = Console(stderr=True)
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit)]
    with Progress(
        *columns, TextColumn("{task.fields[rate]}"), TimeElapsedColumn(), TimeRemainingColumn(), console=console
    ) as bar:
        task = bar.add_task(what, total=total, rate="")

        def advance(more: int) -> None:
            nonlocal done
            done += more
            speed = bar.tasks[0].speed
            bar.update(task, advance=more, rate=f"{speed:,.0f}/s" if speed else "")

        yield advance
    if not console.is_terminal:
        console.print(f"{what}: {done:,} {unit}")
