"""Runs a learner's lazy Spark query, and classifies what goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from exercises.expect import Description, IncorrectError
from exercises.plugin import line_of

Result = TypeVar("Result")


def collected(call: str, ask: Callable[[], Result], answer: Path, known: dict[str, str] | None = None) -> Result:
    """The result of `ask`. Exceptions from the learner's own lines, on a worker too, are re-raised unchanged.

    Raises `IncorrectError` for others: Spark cannot run the query. `known` maps words of an error to a message.
    """
    try:
        return ask()
    except Exception as error:
        if line_of(error, str(answer)) is not None:
            raise
        mistake = next((says for words, says in (known or {}).items() if words in str(error)), None)
        told = mistake or f"Spark could not run your query: {str(error).strip().split(chr(10))[0]}"
        raise IncorrectError(call, Description(type(error).__name__), Description("rows"), told) from None
