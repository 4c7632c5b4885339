"""Errors that a person meets, and how any error becomes one line."""

from __future__ import annotations

import re

from pydantic import ValidationError

_RAISED_BY_A_TASK = re.compile(r"JobError: (.+)")
_NAMED_ERROR = re.compile(r"^[\w.]*(?:Error|Exception|Interrupt)\b.*", re.MULTILINE)


class JobError(Exception):
    """A job that cannot go on; its message says what, where and what to do."""


def one_line(error: BaseException) -> str:
    """What went wrong, in one line: a `JobError`'s own words, even where a Spark task raised it."""
    if isinstance(error, ValidationError):
        return "; ".join(f"{_variable(e['loc'])}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors())
    text = str(error).strip()
    if isinstance(error, JobError):
        return " ".join(text.split())
    if in_task := _RAISED_BY_A_TASK.search(text):
        return in_task[1].strip()
    named = _NAMED_ERROR.findall(text)
    first = named[-1] if named else (text.splitlines() or [""])[0]
    return f"{type(error).__name__}: {first.strip()}"


def _variable(place: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in place).upper() or "settings"
