"""What the modelling commands share."""

from __future__ import annotations

import os

import pytest

from modeling.runner import run


def test_a_command_reports_nothing_over_the_internet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    seen: list[str | None] = []
    run(lambda: seen.append(os.environ.get("MLFLOW_DISABLE_TELEMETRY")))
    assert seen == ["true"]
