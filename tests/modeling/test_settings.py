"""Every setting of a training can also be set for the containers."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from modeling.errors import ModelingError
from modeling.settings import Settings, read_settings

COMPOSE = Path(__file__).resolve().parents[2] / "docker-compose.yml"
NAMED_ONCE = {"model_name"}
"""The scorer's too: it stays what it is in all containers."""


def test_every_setting_reaches_the_containers_with_its_default() -> None:
    environment = yaml.safe_load(COMPOSE.read_text())["services"]["airflow-scheduler"]["environment"]
    wanted = set(Settings.model_fields) - NAMED_ONCE
    assert {name for name in wanted if name.upper() not in environment} == set()
    for name in wanted:
        given = environment[name.upper()]
        if given.startswith("${"):
            assert given.startswith(f"${{{name.upper()}:-")
            default = Settings.model_fields[name].default
            text = given.partition(":-")[2].rstrip("}")
            # The bank's zone is the map's, else UTC: `containers.own_data` sets it.
            assert text == "" if name == "bank_zone" else float(text) == default


def test_an_invalid_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVIEW_COST", "free")
    monkeypatch.setenv("REVIEWS_PER_1000", "-1")
    with pytest.raises(ModelingError, match=r"invalid settings: REVIEW_COST=free: .*; REVIEWS_PER_1000=-1: .*"):
        read_settings()
