"""What Spark makes of an answer, when it is asked: it only works then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from exercises.expect import IncorrectError, Said
from exercises.plugin import line_of

Came = TypeVar("Came")


def collected(called: str, ask: Callable[[], Came], answer: Path, known: dict[str, str] | None = None) -> Came:
    """What Spark answers. What goes wrong in the learner's own lines, on a worker too, is raised as it is.

    Raises `IncorrectError` for the rest: Spark cannot run what was built. `known` are mistakes by words that tell them.
    """
    try:
        return ask()
    except Exception as error:
        if line_of(error, str(answer)) is not None:
            raise
        mistake = next((says for words, says in (known or {}).items() if words in str(error)), None)
        told = mistake or f"Spark could not run what you built: {str(error).strip().split(chr(10))[0]}"
        raise IncorrectError(called, Said(type(error).__name__), Said("rows"), told) from None
