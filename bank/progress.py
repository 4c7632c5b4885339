"""Progress on standard error: a bar in a terminal, plain lines elsewhere. Standard output is for results."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES: Final = 5.0

Advance = Callable[[int], None]


@contextmanager
def progress_of(what: str, total: int, unit: str = "payments", console: Console | None = None) -> Iterator[Advance]:
    """Show the progress of `what`; call the yielded function with the number of units just done."""
    console = console or Console(stderr=True, soft_wrap=True)
    show = _bar if console.is_terminal else _lines
    with show(console, what, total, unit) as advance:
        yield advance


@contextmanager
def _bar(console: Console, what: str, total: int, unit: str) -> Iterator[Advance]:
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit)]
    times = [TextColumn("{task.fields[rate]}"), TimeElapsedColumn(), TimeRemainingColumn()]
    with Progress(*columns, *times, console=console) as bar:
        task = bar.add_task(what, total=total, rate="")

        def advance(more: int) -> None:
            bar.update(task, advance=more)
            speed = bar.tasks[task].speed
            bar.update(task, rate=f"{speed:,.0f}/s" if speed else "")

        yield advance


@contextmanager
def _lines(console: Console, what: str, total: int, unit: str) -> Iterator[Advance]:
    done, start = 0, time.monotonic()
    last_printed = start

    def advance(more: int) -> None:
        nonlocal done, last_printed
        done += more
        now = time.monotonic()
        if now - last_printed >= SECONDS_BETWEEN_LINES:
            last_printed = now
            rate = done / (now - start)
            console.out(f"{what}: {done:,} of {total:,} {unit}, {rate:,.0f}/s, {(total - done) / rate:.0f} s left")

    yield advance
    console.out(f"{what}: {done:,} {unit} in {time.monotonic() - start:.1f} s")
