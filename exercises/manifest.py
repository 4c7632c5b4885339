"""`exercises.toml`: which exercises there are, in the order in which they are done."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

EXERCISES: Final = Path(__file__).resolve().parent
Role = Literal["data-engineer", "data-scientist", "ml-engineer"]


class UnknownExerciseError(Exception):
    """No exercise has this id; the text names those there are."""


class Exercise(BaseModel):
    """One exercise. `environment` is the one that its check runs in; a live one works on what `make demo` left."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern="^[a-z][a-z-]+$")
    role: Role
    title: str
    minutes: int = Field(ge=5, le=120)
    level: int = Field(ge=1, le=6)
    environment: Literal["airflow", "pipeline", "serving"]
    live: bool = False
    hints: tuple[str, str, str]

    @property
    def folder(self) -> Path:
        """Where it is."""
        return EXERCISES / self.role / self.id

    @property
    def answer(self) -> Path:
        """The learner's file, worked on in place."""
        return self.folder / "exercise.py"

    @property
    def solution(self) -> Path:
        """One right answer."""
        return self.folder / "solution.py"

    @property
    def check(self) -> Path:
        """Its tests."""
        return self.folder / "check.py"


def read_manifest(path: Path = EXERCISES / "exercises.toml") -> list[Exercise]:
    """Every exercise, in order. Raises `pydantic.ValidationError` for a manifest that is not right."""
    return [Exercise(**entry) for entry in tomllib.loads(path.read_text())["exercise"]]


def find(id_: str) -> Exercise:
    """One by its id. Raises `UnknownExerciseError`."""
    there_are = {exercise.id: exercise for exercise in read_manifest()}
    if id_ not in there_are:
        near = difflib.get_close_matches(id_, there_are, 1)
        said = f"there is no exercise {id_!r}" if id_ else "say which exercise, as in EXERCISE=point-in-time"
        which = f"is it {near[0]}?" if near else f"there are: {', '.join(there_are)}"
        raise UnknownExerciseError(f"{said}; {which}")
    return there_are[id_]
