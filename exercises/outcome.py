"""The outcomes of a check."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

NEVER_ENDS: Final = "it did not finish in time: is there an infinite loop, or a wait that never ends?"


class Outcome(StrEnum):
    """The five outcomes."""

    PASSED = "passed"
    INCORRECT = "incorrect"
    ERROR = "error in your code"
    NOT_STARTED = "not started"
    UNAVAILABLE = "environment not available"

    @property
    def exit_code(self) -> int:
        """The exit code of `python -m exercises check`."""
        return list(Outcome).index(self)


@dataclass(frozen=True)
class Result:
    """An outcome and its explanation (`story`); `line` is the line of the learner's file, if there is one.

    `printed` is the output of the learner's code.
    """

    outcome: Outcome
    story: str = ""
    line: int | None = None
    printed: str = ""

    @classmethod
    def of(cls, found: dict[str, Any]) -> Result:
        """Read what the check's process wrote."""
        return cls(Outcome(found["outcome"]), found["story"], found["line"], found["printed"])
