"""`exercises.toml`: all exercises, in their intended order."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

EXERCISES: Final = Path(__file__).resolve().parent
Role = Literal["data-engineer", "data-scientist", "ml-engineer"]


class UnknownExerciseError(Exception):
    """There is no exercise with this id; the message lists all ids."""


class Exercise(BaseModel):
    """One exercise. Its check runs in `environment`; a capstone needs the data that `make demo` wrote."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern="^[a-z][a-z-]+$")
    role: Role
    title: str
    minutes: int = Field(ge=5, le=120)
    level: int = Field(ge=1, le=6)
    environment: Literal["airflow", "pipeline", "serving"]
    capstone: bool = False
    hints: tuple[str, str, str]

    @property
    def folder(self) -> Path:
        """Its folder."""
        return EXERCISES / self.role / self.id

    @property
    def answer(self) -> Path:
        """The learner's file, edited in place."""
        return self.folder / "exercise.py"

    @property
    def solution(self) -> Path:
        """One correct answer."""
        return self.folder / "solution.py"

    @property
    def check(self) -> Path:
        """Its tests."""
        return self.folder / "check.py"


def read_catalog(path: Path = EXERCISES / "exercises.toml") -> list[Exercise]:
    """Every exercise, in order. Raises `pydantic.ValidationError` for an invalid catalog."""
    return [Exercise(**entry) for entry in tomllib.loads(path.read_text())["exercise"]]


def find(id_: str) -> Exercise:
    """The exercise with this id. Raises `UnknownExerciseError`."""
    known = {exercise.id: exercise for exercise in read_catalog()}
    if id_ not in known:
        near = difflib.get_close_matches(id_, known, 1)
        problem = f"there is no exercise {id_!r}" if id_ else "name an exercise, as in EXERCISE=point-in-time"
        advice = f"did you mean {near[0]}?" if near else f"choose one of: {', '.join(known)}"
        raise UnknownExerciseError(f"{problem}; {advice}")
    return known[id_]
