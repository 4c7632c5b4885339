"""The terminal output of the commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from exercises.catalog import Exercise, read_catalog
from exercises.outcome import Outcome, Result
from exercises.progress import Progress
from exercises.runner import ROOT

COLOURS: Final = {
    Outcome.PASSED: "green",
    Outcome.INCORRECT: "yellow",
    Outcome.ERROR: "red",
    Outcome.NOT_STARTED: "blue",
    Outcome.UNAVAILABLE: "magenta",
}


def show_list(console: Console, exercises: Sequence[Exercise], progress: Mapping[str, Progress]) -> None:
    """Show every exercise by role, with the learner's progress."""
    for role in dict.fromkeys(exercise.role for exercise in exercises):
        mine = [exercise for exercise in exercises if exercise.role == role]
        passed = sum(bool(progress.get(one.id, Progress()).passed_at) for one in mine)
        table = Table(
            "exercise", "what", "min", "state", title=f"{role}: {passed} of {len(mine)} passed", title_justify="left"
        )
        for one in mine:
            done = progress.get(one.id, Progress())
            now = Outcome(done.outcome)
            state = "passed before" if done.passed_at and now is not Outcome.PASSED else str(now)
            colour = COLOURS[Outcome.PASSED if done.passed_at else now]
            where = " (on the demo)" if one.capstone else ""
            table.add_row(one.id, one.title + where, str(one.minutes), f"[{colour}]{state}[/]")
        console.print(table)
    console.print(
        "Read exercises/<role>/<exercise>/README.md, edit its exercise.py, then run `make check EXERCISE=<exercise>`."
    )


def show_result(console: Console, exercise: Exercise, result: Result) -> None:
    """Show an outcome, its line, and what to do next."""
    console.print(f"[bold {COLOURS[result.outcome]}]{result.outcome}[/]  {exercise.id}: {escape(exercise.title)}")
    where = str(exercise.answer.relative_to(ROOT))
    if result.line:
        lines = exercise.answer.read_text().split("\n")
        console.print(f"  {where}, line {result.line}: [bold]{escape(lines[result.line - 1].strip())}[/]")
    if result.story:
        console.print("\n".join(f"  {escape(line)}" for line in result.story.split("\n")))
    if result.printed:
        console.print("[dim]  your code printed:[/]")
        console.print("\n".join(f"[dim]  | {escape(line)}[/]" for line in result.printed.split("\n")))
    console.print(f"[dim]{_next(exercise, result.outcome, where)}[/]")


def _next(exercise: Exercise, outcome: Outcome, where: str) -> str:
    match outcome:
        case Outcome.PASSED:
            return f"`make solution EXERCISE={exercise.id}` shows another correct answer; next: {_following(exercise)}"
        case Outcome.NOT_STARTED:
            return f"read {exercise.folder.relative_to(ROOT)}/README.md, edit {where}, and check again"
        case Outcome.UNAVAILABLE:
            return "your file was not run: nothing is wrong with it"
        case _:
            return f"`make hint EXERCISE={exercise.id}` gives the next hint"


def _following(exercise: Exercise) -> str:
    mine = [one.id for one in read_catalog() if one.role == exercise.role]
    rest = mine[mine.index(exercise.id) + 1 :] if exercise.id in mine else []
    return f"{exercise.role}/{rest[0]}" if rest else "`make exercises`; that was the last one for this role"
