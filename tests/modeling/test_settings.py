"""Every setting of a training can also be set for the containers."""

from __future__ import annotations

from pathlib import Path

import yaml

from modeling.settings import Settings

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
            assert float(given.partition(":-")[2].rstrip("}")) == Settings.model_fields[name].default
