"""If the servers cannot start, the environment is unavailable and the demo is released."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from demo.embedded_servers import ServerError
from exercises import live_pipeline
from exercises.expect import UnavailableError
from exercises.live_pipeline import running_pipeline


def test_a_demo_in_use_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_pipeline, "lock_demo", lambda: None)
    with pytest.raises(UnavailableError, match="in use by another command"), running_pipeline(tmp_path / "pipeline"):
        pass


def test_a_server_that_does_not_start_is_reported_and_the_demo_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> None:
        raise ServerError("PostgreSQL ended")

    lock, done = io.StringIO(), []
    # Signal handlers and child processes belong to the whole test run.
    for name in ("interrupt_on_signals", "adopt_orphans", "stop_descendants"):
        monkeypatch.setattr(live_pipeline, name, partial(done.append, name))
    monkeypatch.setattr(live_pipeline, "lock_demo", lambda: lock)
    monkeypatch.setattr(live_pipeline, "copy_of_demo", lambda folder: folder)
    monkeypatch.setattr(live_pipeline, "start_stores", refused)
    with (
        pytest.raises(UnavailableError, match="the pipeline did not start: PostgreSQL ended"),
        running_pipeline(tmp_path / "pipeline"),
    ):
        pass
    assert lock.closed
    assert done[-1] == "stop_descendants"
