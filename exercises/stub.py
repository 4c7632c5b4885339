"""The marked part of each exercise's file; a stub is a solution with that part removed."""

from __future__ import annotations

from typing import Final

BEGIN: Final = "# --- your work: begin"
END: Final = "# --- your work: end"
EMPTY: Final = 'raise NotImplementedError("your work goes here")'


def stub_of(solution: str) -> str:
    """The file that a learner starts with."""
    return with_work(solution, EMPTY)


def with_work(text: str, work: str) -> str:
    """The file with other lines between its markers, indented like them. Raises ValueError without markers."""
    before, indent, _, after = _parts(text)
    lines = [indent + line if line.strip() else "" for line in work.strip("\n").split("\n")]
    return "\n".join([*before, indent + BEGIN, *lines, indent + END, *after])


def work_in(text: str) -> str:
    """The lines between the markers, without their indentation. Raises ValueError without markers."""
    _, indent, work, _ = _parts(text)
    return "\n".join(line.removeprefix(indent) for line in work)


def is_untouched(text: str, solution: str) -> bool:
    """Whether a learner's file is still the stub, ignoring trailing spaces."""
    return [line.rstrip() for line in text.split("\n")] == [line.rstrip() for line in stub_of(solution).split("\n")]


def _parts(text: str) -> tuple[list[str], str, list[str], list[str]]:
    """The lines before the markers, the markers' indentation, the lines between, and the lines after."""
    lines = text.split("\n")
    stripped = [line.strip() for line in lines]
    if stripped.count(BEGIN) != 1 or stripped.count(END) != 1:
        raise ValueError(f"there must be one line {BEGIN!r} and one line {END!r}")
    first, last = stripped.index(BEGIN), stripped.index(END)
    if last < first:
        raise ValueError(f"{BEGIN!r} must come before {END!r}")
    indent = lines[first][: len(lines[first]) - len(lines[first].lstrip())]
    return lines[:first], indent, lines[first + 1 : last], lines[last + 1 :]
