"""`python -m exercises`: the commands behind `make exercises`, `check`, `hint`, `solution` and `reset`."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime

from rich.console import Console
from rich.markup import escape

from exercises.catalog import Exercise, UnknownExerciseError, find, read_catalog
from exercises.outcome import Outcome
from exercises.output import show_list, show_result
from exercises.progress import Progress, ProgressError, read_progress, reset, write_progress
from exercises.runner import ROOT, check
from exercises.stub import BEGIN

UNKNOWN = 64


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code; for a check, that of the outcome (0 if it passed)."""
    parser = argparse.ArgumentParser(prog="python -m exercises", description="The workshop's exercises.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="list every exercise and your progress")
    for name, does in COMMANDS.items():
        commands.add_parser(name, help=(does.__doc__ or "").split("\n")[0]).add_argument("exercise")
    given = parser.parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True)
    try:
        if given.command == "list":
            show_list(console, read_catalog(), read_progress())
            return 0
        return COMMANDS[given.command](console, find(given.exercise))
    except (UnknownExerciseError, ProgressError) as error:
        console.print(f"[red]error:[/] {escape(str(error))}")
        return UNKNOWN


def check_one(console: Console, exercise: Exercise) -> int:
    """Check your file."""
    with console.status(f"checking {exercise.id} …"):
        result = check(exercise)
    progress = read_progress()
    mine = progress.setdefault(exercise.id, Progress())
    mine.checks += 1
    if result.outcome is not Outcome.UNAVAILABLE:
        mine.outcome = result.outcome.value
    if result.outcome is Outcome.PASSED:
        mine.passed_at = mine.passed_at or datetime.now(UTC).isoformat(timespec="seconds")
    write_progress(progress)
    show_result(console, exercise, result)
    return result.outcome.exit_code


def hint(console: Console, exercise: Exercise) -> int:
    """Show the next of three hints."""
    progress = read_progress()
    mine = progress.setdefault(exercise.id, Progress())
    mine.hints = min(mine.hints + 1, len(exercise.hints))
    write_progress(progress)
    for number, text in enumerate(exercise.hints[: mine.hints], 1):
        console.print(f"[bold]hint {number} of {len(exercise.hints)}[/]  {escape(text)}")
    if mine.hints == len(exercise.hints):
        console.print(f"That was the last hint; `make solution EXERCISE={exercise.id}` shows one correct answer.")
    return 0


def solution(console: Console, exercise: Exercise) -> int:
    """Show one correct answer."""
    console.print(escape(exercise.solution.read_text().rstrip()))
    console.print(f"\n[dim]{exercise.solution.relative_to(ROOT)}; your file is unchanged[/]")
    return 0


def reset_one(console: Console, exercise: Exercise) -> int:
    """Start over, and keep a copy of your file."""
    copy = reset(exercise, datetime.now(UTC))
    progress = read_progress()
    if exercise.id in progress:
        progress[exercise.id].outcome = Outcome.NOT_STARTED.value
        progress[exercise.id].hints = 0
        write_progress(progress)
    console.print(f"{exercise.answer.relative_to(ROOT)} is restored: write below {BEGIN!r}")
    if copy:
        console.print(f"a copy of your file is in {copy.relative_to(ROOT)}")
    return 0


COMMANDS = {"check": check_one, "hint": hint, "solution": solution, "reset": reset_one}

if __name__ == "__main__":
    sys.exit(main())
