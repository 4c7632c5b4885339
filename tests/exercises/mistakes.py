"""Typical wrong answers, kept as small changes to the solution: `wrong_answers/<exercise>.toml`.

Each mistake has a name, the message that the learner must see (`says`), and either

- `change`: one or more replacements of `old` by `new`, where `old` occurs exactly once in the solution's work, or
- `work`: the whole work, for an answer that has too little in common with the solution.

When the solution changes, its wrong answers change with it; where an `old` is gone, `PatchError` names the mistake and
the missing text.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, model_validator

from exercises.catalog import Exercise
from exercises.stub import work_in

WRONG: Final = Path(__file__).parent / "wrong_answers"


class PatchError(ValueError):
    """A change does not apply to the solution's work."""


class Change(BaseModel):
    """One replacement."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    old: str = Field(min_length=1)
    new: str


class Mistake(BaseModel):
    """One wrong answer: the message that the learner must see, and how its work differs from the solution's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    says: str = Field(min_length=1)
    change: tuple[Change, ...] = ()
    work: str = ""

    @model_validator(mode="after")
    def _one_form(self) -> Mistake:
        if bool(self.change) == bool(self.work):
            raise ValueError("give either `change` or `work`")
        return self

    def apply(self, work: str) -> str:
        """The wrong work, made from the solution's. Raises `PatchError`."""
        if self.work:
            return self.work
        places = sorted((_position(work, change.old), change) for change in self.change)
        parts, end = [], 0
        for start, change in places:
            if start < end:
                raise PatchError(f"two changes overlap at:\n{change.old}")
            parts += [work[end:start], change.new]
            end = start + len(change.old)
        return "".join([*parts, work[end:]])


def read_mistakes(exercise: Exercise, folder: Path = WRONG) -> dict[str, Mistake]:
    """The mistakes of an exercise, by name. Raises `pydantic.ValidationError` for an invalid file."""
    found = tomllib.loads((folder / f"{exercise.id}.toml").read_text())
    return {name: Mistake(**entry) for name, entry in found.items()}


def wrong_works(exercise: Exercise, folder: Path = WRONG) -> dict[str, str]:
    """The work of each wrong answer, by name. Raises `PatchError`, which names the mistake."""
    work, works = work_in(exercise.solution.read_text()) + "\n", {}
    for name, mistake in read_mistakes(exercise, folder).items():
        try:
            works[name] = mistake.apply(work)
        except PatchError as error:
            raise PatchError(f"{exercise.id}.toml, {name}: {error}") from error
    return works


def _position(work: str, old: str) -> int:
    if (times := work.count(old)) != 1:
        raise PatchError(f"this must occur once in the solution's work, and occurs {times} times:\n{old}")
    return work.index(old)
