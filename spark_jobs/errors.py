"""The jobs' exception, and one-line messages for any error."""

from __future__ import annotations

import re

from pydantic import ValidationError

_RAISED_BY_A_TASK = re.compile(r"JobError: (.+)")
_NAMED_ERROR = re.compile(r"^[\w.]*(?:Error|Exception|Interrupt)\b.*", re.MULTILINE)


class JobError(Exception):
    """A job cannot continue; its message names what, where and what to do."""


def one_line(error: BaseException) -> str:
    """An error's message on one line; for a `JobError` raised in a Spark task, that error's message."""
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


def _variable(path: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in path).upper() or "settings"
