"""The workshop's commands, as a learner types them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from exercises import __main__ as commands
from exercises import progress
from exercises.catalog import Exercise, find
from exercises.outcome import Outcome, Result
from exercises.progress import Progress, read_progress, reset, write_progress
from exercises.stub import EMPTY, stub_of

ID = "request-model"


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Separate progress for these tests."""
    monkeypatch.setattr(progress, "KEPT", tmp_path / "kept")
    return tmp_path / "kept"


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Exercise:
    """An exercise with a temporary file instead of the learner's."""
    real = find(ID)
    folder = tmp_path / "exercise"
    folder.mkdir()
    for name in ("solution.py", "exercise.py"):
        (folder / name).write_text((real.folder / name).read_text())
    monkeypatch.setattr(Exercise, "folder", property(lambda _: folder))
    monkeypatch.setattr(commands, "ROOT", tmp_path)
    return real


def test_the_list_shows_every_role_and_the_progress(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_progress({ID: Progress(passed_at="2018-09-04T10:15:00+00:00", outcome=Outcome.ERROR.value)})
    assert commands.main(["list"]) == 0
    shown = capsys.readouterr().out
    for words in ("data-engineer", "data-scientist", "ml-engineer: 1 of", ID, "passed before", "not started"):
        assert words in shown


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_check_is_printed_and_recorded_and_its_outcome_is_the_exit_code(
    outcome: Outcome, kept: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_progress({ID: Progress(outcome="passed", passed_at="2018-09-04T10:15:00+00:00", hints=2)})
    monkeypatch.setattr(commands, "check", lambda _: Result(outcome, "the story", line=1, printed="hello"))
    assert commands.main(["check", ID]) == outcome.exit_code
    shown = capsys.readouterr().out
    assert shown.startswith(outcome.value)
    assert "the story" in shown
    found = read_progress()[ID]
    assert found.outcome == ("passed" if outcome is Outcome.UNAVAILABLE else outcome.value)
    assert (found.passed_at, found.hints, found.checks) == ("2018-09-04T10:15:00+00:00", 2, 1)
    assert [one.exit_code for one in Outcome] == [0, 1, 2, 3, 4]


def test_hints_come_one_by_one(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for shown in (1, 2, 3, 3):
        assert commands.main(["hint", ID]) == 0
        said = capsys.readouterr().out
        assert said.count("of 3") == shown
        assert ("make solution" in said) == (shown == 3)


def test_a_solution_is_shown_and_nothing_else(mine: Exercise, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["solution", ID]) == 0
    assert mine.solution.read_text().strip() in capsys.readouterr().out
    assert mine.answer.read_text() == stub_of(mine.solution.read_text())


def test_a_reset_keeps_a_copy(mine: Exercise, kept: Path) -> None:
    stub = mine.answer.read_text()
    assert reset(mine, datetime(2018, 9, 4, tzinfo=UTC)) is None
    for written in ("first", "second"):
        mine.answer.write_text(stub.replace(EMPTY, written))
        copy = reset(mine, datetime.now(UTC))
        assert copy is not None
        assert written in copy.read_text()
        assert mine.answer.read_text() == stub
    assert len(list(kept.rglob("*.py"))) == 2
    write_progress({ID: Progress(outcome=Outcome.ERROR.value, checks=3, hints=2)})
    assert commands.main(["reset", ID]) == 0
    assert read_progress()[ID] == Progress(outcome=Outcome.NOT_STARTED.value, checks=3)
    mine.answer.unlink()
    assert reset(mine, datetime.now(UTC)) is None
    assert mine.answer.read_text() == stub


def test_damaged_progress_is_named_and_not_changed(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept.mkdir()
    (kept / "progress.json").write_text("{")
    assert commands.main(["list"]) != 0
    assert "progress.json is damaged" in capsys.readouterr().out
    assert (kept / "progress.json").read_text() == "{"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("no-such", "there is no exercise 'no-such'; choose one of: explicit-schema, "),
        ("paritty", "there is no exercise 'paritty'; did you mean parity?"),
        ("", "name an exercise, as in EXERCISE=point-in-time; choose one of: explicit-schema, "),
    ],
)
def test_an_unknown_exercise_is_named(given: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["check", given]) == commands.UNKNOWN
    assert says in capsys.readouterr().out


def test_a_passed_exercise_suggests_the_next_of_its_role(
    kept: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "check", lambda _: Result(Outcome.PASSED))
    commands.main(["check", ID])
    assert "next: ml-engineer/readiness" in capsys.readouterr().out
    commands.main(["check", "live-promotion"])
    assert "the last one for this role" in capsys.readouterr().out
