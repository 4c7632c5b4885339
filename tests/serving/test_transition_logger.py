"""Problems are logged when they begin, change and end, not on every attempt."""

from __future__ import annotations

import pytest

from serving.observability.transition_logger import TransitionLogger


@pytest.mark.parametrize(("changed", "logged"), [("still", ["began", "still", "over"]), ("", ["began", "over"])])
def test_each_transition_is_logged_once(caplog: pytest.LogCaptureFixture, changed: str, logged: list[str]) -> None:
    caplog.set_level("INFO", "serving")
    transitions = TransitionLogger("began", changed, "over")
    for problem in ("", "one", "one", "other", "other", "", ""):
        transitions.update(problem)
        assert transitions.problem == problem
    assert [record.message for record in caplog.records] == logged


def test_an_end_without_a_name_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "serving")
    transitions = TransitionLogger("began")
    transitions.update("one", until_then="wait")
    transitions.update("")
    (record,) = caplog.records
    assert record.fields == {"reason": "one", "until_then": "wait"}  # type: ignore[attr-defined]
