"""A failing Spark query is the learner's error only if the learner's file is in its traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exercises.expect import IncorrectError
from exercises.plugin import load
from exercises.spark_answers import collected


def failing(error: Exception) -> Any:
    raise error


def test_an_answer_is_returned(tmp_path: Path) -> None:
    assert collected("rows()", lambda: [1], tmp_path / "answer.py") == [1]


def test_a_failing_query_is_incorrect_and_known_errors_have_their_mistake(tmp_path: Path) -> None:
    path = tmp_path / "answer.py"
    error = RuntimeError("[UNRESOLVED_COLUMN] no such column\nand a long plan")
    with pytest.raises(IncorrectError, match=r"Spark could not run your query: \[UNRESOLVED_COLUMN\] no such") as told:
        collected("rows()", lambda: failing(error), path)
    assert "a long plan" not in str(told.value)
    with pytest.raises(IncorrectError, match="that column is gone"):
        collected("rows()", lambda: failing(error), path, {"UNRESOLVED_COLUMN": "that column is gone"})


def test_errors_in_the_learners_code_are_raised_unchanged_also_on_a_worker(tmp_path: Path) -> None:
    path = tmp_path / "answer.py"
    path.write_text("def rows():\n    return 1 / 0\n")
    answer = load(path)
    with pytest.raises(ZeroDivisionError):
        collected("rows()", answer.rows, path)
    told = RuntimeError(f'Traceback:\n  File "{path}", line 2, in rows\nZeroDivisionError')
    with pytest.raises(RuntimeError, match="Traceback"):
        collected("rows()", lambda: failing(told), path)
