"""The five outcomes of a check, in a separate process."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from exercises import catalog, runner
from exercises.catalog import Exercise
from exercises.outcome import Outcome, Result
from exercises.runner import run_checks
from exercises.stub import stub_of, with_work

SOLUTION = '''"""Doubles."""


def double(number: int) -> int:
    """Twice a number."""
    # --- your work: begin
    return 2 * number
    # --- your work: end
'''
CHECK = """
import pytest
from exercises.expect import UnavailableError, expect

@pytest.fixture
def store(request):
    raise UnavailableError("the store is not there: start it")

def test_small(answer):
    expect("double(2)", answer.double(2), 4, "look again", [(2, "nothing was doubled")])

def test_text(answer):
    assert len(answer.double("ab")) == 4

def test_store(answer):
    if answer.double(0) == "store":
        raise UnavailableError("the store is not there: start it")
"""


@pytest.fixture
def exercise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Exercise:
    """A temporary exercise for these tests."""
    monkeypatch.setattr(catalog, "EXERCISES", tmp_path)
    made = Exercise(
        id="double",
        role="ml-engineer",
        title="Double",
        minutes=5,
        level=1,
        environment="serving",
        hints=("a", "b", "c"),
    )
    made.folder.mkdir(parents=True)
    made.solution.write_text(SOLUTION)
    made.answer.write_text(stub_of(SOLUTION))
    made.check.write_text(CHECK)
    return made


def outcomes(exercise: Exercise, **works: str) -> dict[str, Result]:
    paths = {name: exercise.folder / f"{name}.py" for name in works}
    for name, work in works.items():
        paths[name].write_text(with_work(SOLUTION, work))
    found = run_checks(exercise, list(paths.values()))
    return {name: found[path] for name, path in paths.items()}


def test_each_answer_has_its_outcome(exercise: Exercise) -> None:
    found = outcomes(
        exercise,
        right="return number + number",
        untouched='raise NotImplementedError("your work goes here")',
        same="return number",
        other="return 7",
        none="print('here I am')",
        text="return 4 if number == 2 else 1",
        syntax="return (",
        raises="return number / 0",
        deep="import json\nreturn json.loads('{')",
        leaves="import sys\nsys.exit(0)",
        interrupts="raise KeyboardInterrupt",
        exits="import pytest\npytest.exit('done')",
        skips="import pytest\npytest.skip('done')",
        later="if number:\n    return 2 * number\nraise NotImplementedError",
        store="return 'store' if number == 0 else 2 * number",
    )
    said = {name: result.outcome for name, result in found.items()}
    assert said == {
        "right": Outcome.PASSED,
        "untouched": Outcome.NOT_STARTED,
        "same": Outcome.INCORRECT,
        "other": Outcome.INCORRECT,
        "none": Outcome.INCORRECT,
        "text": Outcome.INCORRECT,
        "syntax": Outcome.ERROR,
        "raises": Outcome.ERROR,
        "deep": Outcome.ERROR,
        "leaves": Outcome.ERROR,
        "interrupts": Outcome.ERROR,
        "exits": Outcome.ERROR,
        "skips": Outcome.ERROR,
        "later": Outcome.NOT_STARTED,
        "store": Outcome.UNAVAILABLE,
    }
    assert "nothing was doubled" in found["same"].story
    assert "look again" in found["other"].story
    assert found["none"].printed == "here I am"
    assert "of the wrong type" in found["text"].story
    work = SOLUTION.split("\n").index("    return 2 * number") + 1
    assert (found["syntax"].line, found["raises"].line) == (work, work)
    assert found["raises"].story == "ZeroDivisionError: division by zero"
    assert found["deep"].line == work + 1
    assert found["leaves"].story == "RuntimeError: SystemExit(0) ends Python itself: do not raise it"
    lines = {name: found[name].line for name in ("leaves", "interrupts", "exits", "skips")}
    assert lines == {"leaves": work + 1, "interrupts": work, "exits": work + 1, "skips": work + 1}
    assert found["store"].story == "the store is not there: start it"


def test_an_endless_answer_and_one_that_exits_python_are_errors(
    exercise: Exercise, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "SECONDS_FOR_A_TEST", 1)
    endless = outcomes(exercise, endless="while True:\n    pass")["endless"]
    assert (endless.outcome, "infinite loop" in endless.story) == (Outcome.ERROR, True)
    gone = outcomes(exercise, gone="import os\nos._exit(0)")["gone"]
    assert (gone.outcome, "ended the Python process" in gone.story) == (Outcome.ERROR, True)


def test_a_missing_name_is_an_error(exercise: Exercise) -> None:
    exercise.answer.write_text("def treble(n):\n    return 3 * n\n")
    result = run_checks(exercise, [exercise.answer])[exercise.answer]
    assert (result.outcome, "there is no `double`" in result.story) == (Outcome.ERROR, True)


def test_another_signature_is_an_error(exercise: Exercise) -> None:
    exercise.answer.write_text("def double(one, other):\n    return one + other\n")
    result = run_checks(exercise, [exercise.answer])[exercise.answer]
    assert (result.outcome, "keep the parameters" in result.story) == (Outcome.ERROR, True)


def test_a_stub_is_not_run_and_a_missing_file_is_reported(exercise: Exercise, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "ROOT", exercise.folder.parents[1])
    assert runner.check(exercise) == Result(Outcome.NOT_STARTED)
    exercise.answer.unlink()
    assert "make reset" in runner.check(exercise).story


def test_without_its_environment_or_the_demo_nothing_is_run(
    exercise: Exercise, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    capstone = exercise.model_copy(update={"capstone": True})
    monkeypatch.setattr(runner, "DEMO", tmp_path / "summary.json")
    assert "make demo" in run_checks(capstone, [exercise.answer])[exercise.answer].story
    monkeypatch.setattr(runner, "ROOT", tmp_path)
    result = run_checks(exercise, [exercise.answer])[exercise.answer]
    assert (result.outcome, "not installed" in result.story) == (Outcome.UNAVAILABLE, True)


def test_a_check_that_cannot_be_loaded_is_not_the_learners_fault(exercise: Exercise) -> None:
    exercise.answer.write_text(SOLUTION)
    exercise.check.write_text("import no_such_library\n")
    result = run_checks(exercise, [exercise.answer])[exercise.answer]
    assert (result.outcome, "no_such_library" in result.story) == (Outcome.UNAVAILABLE, True)
    shutil.rmtree(exercise.folder)
