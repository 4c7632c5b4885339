"""What a check may come to, and what is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

NEVER_ENDS: Final = "it did not end in time: is there a loop that never ends, or a wait for what never comes?"


class Outcome(StrEnum):
    """The five, never confused."""

    PASSED = "passed"
    INCORRECT = "incorrect"
    ERROR = "error in your code"
    NOT_STARTED = "not started"
    UNAVAILABLE = "environment not available"

    @property
    def exit_code(self) -> int:
        """What `python -m exercises check` ends with."""
        return list(Outcome).index(self)


@dataclass(frozen=True)
class Result:
    """An outcome and its story: lines of text; `line` is the line of the learner's file, where there is one.

    `printed` is what the learner's code wrote.
    """

    outcome: Outcome
    story: str = ""
    line: int | None = None
    printed: str = ""

    @classmethod
    def of(cls, found: dict[str, Any]) -> Result:
        """As the check's own process wrote it."""
        return cls(Outcome(found["outcome"]), found["story"], found["line"], found["printed"])
