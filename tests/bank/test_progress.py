"""Progress: a bar in a terminal, plain lines in a log."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bank.progress import progress_of


def test_a_log_gets_plain_lines_with_the_rate_and_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bank.progress.SECONDS_BETWEEN_LINES", 0.0)
    out = io.StringIO()
    with progress_of("loading", 2000, console=Console(file=out)) as advance:
        advance(500)
        advance(1500)
    first, second, last = out.getvalue().splitlines()
    assert first.startswith("loading: 500 of 2,000 payments, ")
    assert first.endswith(" s left")
    assert "/s, 0 s left" in second
    assert last.startswith("loading: 2,000 payments in ")


def test_failed_work_is_not_reported_as_done() -> None:
    out = io.StringIO()
    with pytest.raises(ValueError, match="broken"), progress_of("loading", 9, console=Console(file=out)):
        raise ValueError("broken")
    assert out.getvalue() == ""


def test_a_terminal_gets_a_bar() -> None:
    out = io.StringIO()
    with progress_of("loading", 4, console=Console(file=out, force_terminal=True, width=120)) as advance:
        advance(1)
        advance(3)
    assert "━" in out.getvalue()
    assert "4/4" in out.getvalue()
