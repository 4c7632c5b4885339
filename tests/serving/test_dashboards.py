"""The dashboard and the alerts query existing metrics, and each alert has its runbook."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

from tests.serving.running import ROOT, ScorerProcess

MONITORING = ROOT / "serving/observability/dashboards"
NAME = re.compile(r"\bscorer_[a-z_]+")


def expressions() -> set[str]:
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    rules = yaml.safe_load((MONITORING / "alerts.yml").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return set(asked) | {rule["expr"] for group in rules["groups"] for rule in group["rules"]}


def test_every_queried_metric_exists(scorer: ScorerProcess) -> None:
    lines = scorer.client.get("/metrics").text.splitlines()
    told = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    for expression in expressions():
        for name in NAME.findall(expression):
            bare = re.sub(r"_(bucket|sum|count)$", "", name)
            assert name in told or bare in told, name


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    (group,) = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]
    names = [rule["alert"] for rule in group["rules"]]
    assert re.findall(r"^### (\w+)$", page, re.MULTILINE) == names
    for rule in group["rules"]:
        path, anchor = rule["annotations"]["runbook"].split("#")
        assert Path(ROOT, path).exists()
        assert anchor == rule["alert"].lower()
