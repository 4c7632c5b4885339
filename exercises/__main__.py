"""`python -m exercises`: the workshop's commands; `make exercises`, `check`, `hint`, `solution` and `reset` call it."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime

from rich.console import Console
from rich.markup import escape

from exercises.manifest import Exercise, UnknownExerciseError, find, read_manifest
from exercises.outcome import Outcome
from exercises.progress import Progress, ProgressError, read_progress, reset, write_progress
from exercises.runner import ROOT, check
from exercises.show import show_list, show_result
from exercises.stub import BEGIN

UNKNOWN = 64


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit code: of a check that of the outcome, 0 where it passed."""
    parser = argparse.ArgumentParser(prog="python -m exercises", description="The workshop's exercises.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="every exercise and how far you are")
    for name, does in COMMANDS.items():
        commands.add_parser(name, help=(does.__doc__ or "").split("\n")[0]).add_argument("exercise")
    given = parser.parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True)
    try:
        if given.command == "list":
            show_list(console, read_manifest(), read_progress())
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
    """The next hint, of three."""
    progress = read_progress()
    mine = progress.setdefault(exercise.id, Progress())
    mine.hints = min(mine.hints + 1, len(exercise.hints))
    write_progress(progress)
    for number, text in enumerate(exercise.hints[: mine.hints], 1):
        console.print(f"[bold]hint {number} of {len(exercise.hints)}[/]  {escape(text)}")
    if mine.hints == len(exercise.hints):
        console.print(f"That was the last; `make solution EXERCISE={exercise.id}` shows one right answer.")
    return 0


def solution(console: Console, exercise: Exercise) -> int:
    """One right answer."""
    console.print(escape(exercise.solution.read_text().rstrip()))
    console.print(f"\n[dim]{exercise.solution.relative_to(ROOT)}; your own file is as it was[/]")
    return 0


def reset_one(console: Console, exercise: Exercise) -> int:
    """Begin again, keeping a copy of what you wrote."""
    copy = reset(exercise, datetime.now(UTC))
    progress = read_progress()
    if exercise.id in progress:
        progress[exercise.id].outcome = Outcome.NOT_STARTED.value
        progress[exercise.id].hints = 0
        write_progress(progress)
    console.print(f"{exercise.answer.relative_to(ROOT)} is as it was at first: write below {BEGIN!r}")
    if copy:
        console.print(f"what you had written is in {copy.relative_to(ROOT)}")
    return 0


COMMANDS = {"check": check_one, "hint": hint, "solution": solution, "reset": reset_one}

if __name__ == "__main__":
    sys.exit(main())
