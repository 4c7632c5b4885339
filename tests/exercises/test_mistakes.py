"""Each wrong answer is a change that applies to its solution and gives a different program."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from pydantic import ValidationError

from exercises.catalog import Exercise, find, read_catalog
from exercises.stub import with_work
from tests.exercises.mistakes import Change, Mistake, PatchError, wrong_works

WORK = "total = 0\nfor one in many:\n    total += one\nreturn total\n"


@pytest.mark.parametrize("exercise", read_catalog(), ids=lambda exercise: exercise.id)
def test_each_wrong_answer_applies_and_differs_from_the_solution(exercise: Exercise) -> None:
    solution = exercise.solution.read_text()
    programs = {"the solution": ast.dump(ast.parse(solution))}
    for name, work in wrong_works(exercise).items():
        programs[name] = ast.dump(ast.parse(with_work(solution, work)))
    assert len(programs) >= 3
    same = [name for name in programs if list(programs.values()).count(programs[name]) > 1]
    assert not same


def test_changes_apply_to_the_solution_and_not_to_one_another() -> None:
    changes = (Change(old="total += one", new="total = 0"), Change(old="total = 0\n", new="total = 1\n"))
    assert Mistake(says="x", change=changes).apply(WORK) == (
        "total = 1\nfor one in many:\n    total = 0\nreturn total\n"
    )
    assert Mistake(says="x", work="return 0\n").apply(WORK) == "return 0\n"


@pytest.mark.parametrize(
    ("olds", "says"),
    [
        (["total -= one"], "occurs 0 times:\ntotal -= one"),
        (["total"], "occurs 3 times:\ntotal"),
        (["many:\n    total", "total += one"], "two changes overlap at:\ntotal \\+= one"),
    ],
)
def test_a_change_that_does_not_apply_names_the_text(olds: list[str], says: str) -> None:
    with pytest.raises(PatchError, match=says):
        Mistake(says="x", change=tuple(Change(old=old, new="") for old in olds)).apply(WORK)


def test_a_solution_that_changed_names_the_mistake(tmp_path: Path) -> None:
    (tmp_path / "parity.toml").write_text('[late]\nsays = "x"\n[[late.change]]\nold = "no such line"\nnew = ""\n')
    with pytest.raises(PatchError, match=r"parity\.toml, late: .*\nno such line"):
        wrong_works(find("parity"), tmp_path)


@pytest.mark.parametrize("entry", [{}, {"work": "a", "change": [{"old": "b", "new": ""}]}, {"change": [], "extra": 1}])
def test_a_mistake_has_either_changes_or_a_work(entry: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Mistake.model_validate({"says": "x", **entry})
