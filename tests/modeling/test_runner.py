"""The code shared by the modelling commands."""

from __future__ import annotations

import os

import pytest

from modeling.runner import run


def test_a_command_sends_no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    seen: list[str | None] = []
    run(lambda: seen.append(os.environ.get("MLFLOW_DISABLE_TELEMETRY")))
    assert seen == ["true"]
