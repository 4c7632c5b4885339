"""What proves an exercise: its stub, its solution, typical wrong answers, and code that does not run."""

from __future__ import annotations

from pathlib import Path

from exercises.manifest import Exercise
from exercises.outcome import Outcome
from exercises.runner import run_checks
from exercises.stub import stub_of, with_work
from tests.exercises.mistakes import read_mistakes, wrong_works


def prove(exercise: Exercise, folder: Path) -> None:
    """Each answer comes to what it should; their files are made in a folder."""
    solution, wrong = exercise.solution.read_text(), wrong_works(exercise)
    assert len(wrong) >= 2
    texts = {
        "stub": stub_of(solution),
        "solution": solution,
        "syntax": with_work(solution, "def ("),
        "exception": with_work(solution, 'raise ValueError("of my own")'),
        **{f"wrong: {name}": with_work(solution, work) for name, work in wrong.items()},
    }
    paths = {name: folder / f"{number}.py" for number, name in enumerate(texts)}
    for name, text in texts.items():
        paths[name].write_text(text)
    results = run_checks(exercise, list(paths.values()))
    found = {name: results[path] for name, path in paths.items()}
    expected = dict.fromkeys(texts, Outcome.INCORRECT) | {
        "stub": Outcome.NOT_STARTED,
        "solution": Outcome.PASSED,
        "syntax": Outcome.ERROR,
        "exception": Outcome.ERROR,
    }
    assert {name: result.outcome for name, result in found.items()} == expected, found
    for name, mistake in read_mistakes(exercise).items():
        assert mistake.says in found[f"wrong: {name}"].story
    work = solution.split("\n").index(next(line for line in solution.split("\n") if "your work: begin" in line)) + 2
    assert found["exception"].line == work
    assert "of my own" in found["exception"].story
    assert found["syntax"].line == work
