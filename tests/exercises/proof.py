"""Tests exercises with their stub, solution, typical wrong answers, and code that does not run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from exercises.catalog import Exercise
from exercises.outcome import Outcome, Result
from exercises.runner import run_together
from exercises.stub import BEGIN, stub_of, with_work
from tests.exercises.mistakes import read_mistakes, wrong_works

EXPECTED = {
    "stub": Outcome.NOT_STARTED,
    "solution": Outcome.PASSED,
    "syntax": Outcome.ERROR,
    "exception": Outcome.ERROR,
}
Found = dict[str, Result]


def answers_to(exercise: Exercise) -> dict[str, str]:
    """The text of each answer, by name."""
    solution = exercise.solution.read_text()
    return {
        "stub": stub_of(solution),
        "solution": solution,
        "syntax": with_work(solution, "def ("),
        "exception": with_work(solution, 'raise ValueError("of my own")'),
        **{f"wrong: {name}": with_work(solution, work) for name, work in wrong_works(exercise).items()},
    }


def check_all(exercises: Sequence[Exercise], folder: Path) -> dict[str, Found]:
    """The result of each answer, by exercise and name. All exercises run in one process, as in `run_together`."""
    paths: dict[Exercise, dict[str, Path]] = {}
    for exercise in exercises:
        (folder / exercise.id).mkdir()
        paths[exercise] = {}
        for number, (name, text) in enumerate(answers_to(exercise).items()):
            paths[exercise][name] = folder / exercise.id / f"{number}.py"
            paths[exercise][name].write_text(text)
    results = run_together({exercise: list(named.values()) for exercise, named in paths.items()})
    return {one.id: {name: results[path] for name, path in named.items()} for one, named in paths.items()}


def prove(exercise: Exercise, found: Found) -> None:
    """Assert that each answer has its expected outcome, and each mistake its message."""
    mistakes = read_mistakes(exercise)
    assert len(mistakes) >= 2
    expected = EXPECTED | {f"wrong: {name}": Outcome.INCORRECT for name in mistakes}
    assert {name: result.outcome for name, result in found.items()} == expected, found
    for name, mistake in mistakes.items():
        assert mistake.says in found[f"wrong: {name}"].story
    work = [line.strip() for line in exercise.solution.read_text().split("\n")].index(BEGIN) + 2
    assert found["exception"].line == work
    assert "of my own" in found["exception"].story
    assert found["syntax"].line == work
