"""The page and the JSON, with the published figures."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from benchmarks.handbook import published_figures, report
from benchmarks.handbook.report import NOT_EXPLAINED, as_json, markdown, unreproduced, write_results
from benchmarks.handbook.run import Results, Section

START = date(2018, 7, 25)


def section(models: dict[str, tuple[float, float, float]]) -> Section:
    figures = {name: {"auc": auc, "ap": ap, "cp100": cp} for name, (auc, ap, cp) in models.items()}
    return Section([START], 58_264, 385, figures)


@pytest.fixture
def results() -> Results:
    ours = {"champion": (0.88, 0.72, 0.3), "xgboost": (0.869, 0.681, 0.303), "random_forest": (0.869, 0.678, 0.297)}
    published = {"base_week": published_figures.BASE_WEEK, "four_weeks": published_figures.FOUR_WEEKS}
    base = section({"champion": (0.88, 0.72, 0.3)})
    return Results(base, section(ours), None, published, {"xgboost": {"max_depth": 3}}, {START: 5.0}, 2, ["it rains"])


def row_of(page: str, model: str) -> list[str]:
    line = next(line for line in page.split("## Test weeks")[1].splitlines() if line.startswith(f"| {model} "))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_each_reproduced_figure_is_next_to_the_published_one(results: Results) -> None:
    page = markdown(results)
    assert row_of(page, "random forest")[4:] == ["0.870 / 0.678 / 0.299", "-0.001 / +0.000 / -0.002", ""]
    assert row_of(page, "champion")[4:] == ["", "", ""]
    assert row_of(page, "lstm")[1:] == ["", "", "", "0.876 / 0.665 / 0.297", "", "quoted, not reproduced"]
    assert "- Note: it rains." in page


def test_a_figure_that_differs_is_explained_or_marked(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "EXPLAINED", {})
    assert row_of(markdown(results), "xgboost")[-1] == NOT_EXPLAINED
    monkeypatch.setattr(report, "EXPLAINED", {("four_weeks", "xgboost"): {"ap": "because"}})
    assert row_of(markdown(results), "xgboost")[-1] == "because"
    assert unreproduced(results) == []
    assert row_of(markdown(results), "random forest")[-1] == ""
    monkeypatch.setattr(report, "EXPLAINED", {("four_weeks", "xgboost"): {"auc": "because"}})
    assert unreproduced(results) == ["four_weeks xgboost ap: 0.681, published 0.687"]


def test_quoted_models_have_only_published_figures(results: Results) -> None:
    found = json.loads(json.dumps(as_json(results)))
    assert found["published"]["four_weeks"]["lstm"] == {"auc": 0.876, "ap": 0.665, "cp100": 0.297}
    assert "lstm" not in found["four_weeks"]
    assert found["validation"] == {}


def test_results_are_replaced_each_time(results: Results, tmp_path: Path) -> None:
    for _ in range(2):
        write_results(results, tmp_path / "handbook")
    assert sorted(path.name for path in (tmp_path / "handbook").iterdir()) == ["results.json", "results.md"]
    assert (tmp_path / "handbook/results.md").read_text() == markdown(results)
