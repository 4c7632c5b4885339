"""If the servers cannot start, the environment is unavailable and the demo is released."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from demo.embedded_servers import ServerError
from exercises import line
from exercises.expect import UnavailableError
from exercises.line import live_line


def test_a_demo_in_use_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "lock_demo", lambda: None)
    with pytest.raises(UnavailableError, match="in use by another command"), live_line(tmp_path / "line"):
        pass


def test_a_server_that_does_not_start_is_reported_and_the_demo_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> None:
        raise ServerError("PostgreSQL ended")

    lock, done = io.StringIO(), []
    # Signal handlers and child processes belong to the whole test run.
    for name in ("interrupt_on_signals", "adopt_orphans", "stop_descendants"):
        monkeypatch.setattr(line, name, partial(done.append, name))
    monkeypatch.setattr(line, "lock_demo", lambda: lock)
    monkeypatch.setattr(line, "copy_of_demo", lambda folder: folder)
    monkeypatch.setattr(line, "start_stores", refused)
    with (
        pytest.raises(UnavailableError, match="the line did not start: PostgreSQL ended"),
        live_line(tmp_path / "line"),
    ):
        pass
    assert lock.closed
    assert done[-1] == "stop_descendants"
