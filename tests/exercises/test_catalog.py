"""The catalog matches the folders, each stub matches its solution, and there are no other files."""

from __future__ import annotations

import re
from collections import Counter
from typing import get_args

import pytest

from exercises.catalog import EXERCISES, Exercise, Role, UnknownExerciseError, find, read_catalog
from exercises.stub import stub_of
from tests.exercises.mistakes import WRONG

ROOT = EXERCISES.parent
ALL = read_catalog()
OF_THE_WORKSHOP = {
    "__init__.py",
    "__main__.py",
    "catalog.py",
    "conftest.py",
    "earlier_champion.py",
    "exercises.toml",
    "expect.py",
    "fake_registry.py",
    "faulty_store.py",
    "leaks.py",
    "live_pipeline.py",
    "outcome.py",
    "output.py",
    "plugin.py",
    "progress.py",
    "runner.py",
    "spark_answers.py",
    "stub.py",
    "threads.py",
}


def name(exercise: Exercise) -> str:
    return exercise.id


def test_each_role_has_at_least_five_in_order_of_level() -> None:
    offline = [exercise for exercise in ALL if not exercise.capstone]
    assert min(Counter(exercise.role for exercise in offline).values()) >= 5
    assert {exercise.role for exercise in ALL} == set(get_args(Role))
    for role in get_args(Role):
        levels = [exercise.level for exercise in ALL if exercise.role == role]
        assert levels == sorted(levels)
    assert len({exercise.id for exercise in ALL}) == len(ALL)


def test_there_are_no_other_files() -> None:
    expected = {EXERCISES / file for file in OF_THE_WORKSHOP}
    expected |= {
        exercise.folder / file for exercise in ALL for file in ("README.md", "exercise.py", "solution.py", "check.py")
    }
    found = {path for path in EXERCISES.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert found == expected
    assert {path.name for path in WRONG.iterdir()} == {f"{exercise.id}.toml" for exercise in ALL}


@pytest.mark.parametrize("exercise", ALL, ids=name)
def test_a_stub_is_its_solution_without_the_work(exercise: Exercise) -> None:
    assert exercise.answer.read_text() == stub_of(exercise.solution.read_text()), f"make reset EXERCISE={exercise.id}"


@pytest.mark.parametrize("exercise", ALL, ids=name)
def test_a_page_has_its_headings_and_working_links(exercise: Exercise) -> None:
    text = (exercise.folder / "README.md").read_text()
    for heading in ("What you will learn", "What to write", "Where this is in the pipeline", "Out of scope"):
        assert f"## {heading}\n" in text
    assert f"make check EXERCISE={exercise.id}" in text
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)
    links = [link for link in links if not link.startswith("https://")]
    assert links
    for link in links:
        assert (exercise.folder / link).exists(), link


@pytest.mark.parametrize("exercise", [one for one in ALL if not one.capstone], ids=name)
def test_a_check_compares_with_production(exercise: Exercise) -> None:
    assert "def test_agrees_with_production(" in exercise.check.read_text()


def test_an_unknown_exercise_is_named_with_the_known_ones() -> None:
    with pytest.raises(UnknownExerciseError, match=r"'nothing'.*choose one of: .*request-model"):
        find("nothing")
