"""Write the results as Markdown and as JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

from benchmarks.handbook.measures import MEASURES
from benchmarks.handbook.our_models import CHAMPION
from benchmarks.handbook.published_figures import TOLERANCE, Three
from benchmarks.handbook.run import Results, Section
from contracts.features import FEATURES, FEATURES_VERSION
from modeling.data.split import HISTORY_DAYS
from modeling.evaluation.intervals import Interval

TITLES: Final = {"auc": "AUC ROC", "ap": "AP", "cp100": "CP@100"}
EXPLAINED: Final[dict[tuple[str, str], dict[str, str]]] = {
    ("four_weeks", "decision_tree"): {
        "auc": "published with the best parameters for each measure separately, unlimited depth for AUC; "
        "ours has the best depth by AP"
    },
}
"""Why a measure of a reproduced model differs by more than the tolerance."""
NOT_EXPLAINED: Final = f"off by more than {TOLERANCE}"


def write_results(results: Results, folder: Path) -> None:
    """Write `results.md` and `results.json`, each atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (
        ("results.md", markdown(results)),
        ("results.json", json.dumps(as_json(results), indent=2) + "\n"),
    ):
        staged = folder / f".{name}.{os.getpid()}"
        staged.write_text(text)
        staged.replace(folder / name)


def as_json(results: Results) -> dict[str, Any]:
    """The results as a JSON object: figures of each section by model, then weeks, parameters and environment."""
    return {
        "validation": {},
        **{name: _section_json(section) for name, section in _sections(results)},
        "published": {
            section: {model: dict(zip(MEASURES, three, strict=True)) for model, three in figures.items()}
            for section, figures in results.published.items()
        },
        "champion_ap_less": {
            name: section.intervals.champion_less for name, section in _sections(results) if section.intervals
        },
        "weeks": {name: [str(day) for day in section.starts] for name, section in _sections(results)},
        "test_payments": {name: section.payments for name, section in _sections(results)},
        "test_frauds": {name: section.frauds for name, section in _sections(results)},
        "chosen": results.chosen,
        "champion_training_seconds": {str(day): round(took, 2) for day, took in results.champion_seconds.items()},
        "champion_history_days": HISTORY_DAYS,
        "features": len(FEATURES),
        "features_version": FEATURES_VERSION,
        "cores": results.cores,
        "notes": results.notes,
    }


def markdown(results: Results) -> str:
    """The results as a Markdown page."""
    lines = ["# The published benchmark", ""]
    for name, section in _sections(results):
        lines += [
            f"## {_title(name, section)}",
            "",
            f"{section.payments:,} test payments, {section.frauds:,} frauds.",
            "",
        ]
        lines += [*_figures_table(name, section, results.published.get(name, {})), ""]
        if section.intervals:
            lines += ["95% intervals, by bootstrap over cards:", "", *_intervals_table(section), ""]
    return "\n".join(lines + _foundations(results)) + "\n"


def _sections(results: Results) -> list[tuple[str, Section]]:
    found = [("base_week", results.base_week), ("four_weeks", results.four_weeks)]
    return [*found, ("validation", results.validation)] if results.validation else found


def unreproduced(results: Results) -> list[str]:
    """The measures of reproduced models that differ by more than the tolerance, without the explained ones."""
    sections = dict(_sections(results))
    return [
        f"{section} {model} {measure}: {sections[section].figures[model][measure]:.3f}, published {known:.3f}"
        for section, figures in results.published.items()
        for model, three in figures.items()
        if model in sections[section].figures
        for measure, known in zip(MEASURES, three, strict=True)
        if abs(sections[section].figures[model][measure] - known) > TOLERANCE
        and measure not in EXPLAINED.get((section, model), {})
    ]


def _section_json(section: Section) -> dict[str, Any]:
    intervals = section.intervals.models if section.intervals else {}
    return {
        model: figures | {f"{name}_interval": interval for name, interval in intervals.get(model, {}).items()}
        for model, figures in section.figures.items()
    }


def _title(name: str, section: Section) -> str:
    weeks = f"trained on the week from {', '.join(map(str, section.starts))}"
    titles = {"base_week": "Base week", "four_weeks": "Test weeks", "validation": "Validation weeks"}
    return f"{titles[name]} ({weeks})"


def _figures_table(name: str, section: Section, published: dict[str, Three]) -> list[str]:
    compared = ["published", "difference", "note"] if published else []
    rows = [["model", *TITLES.values(), *compared]]
    for model, found in section.figures.items():
        row = [_shown(model), *(_with_spread(found, measure) for measure in MEASURES)]
        rows.append(row + (_compared(name, model, found, published) if published else []))
    for model, three in published.items():
        if model not in section.figures:
            rows.append([_shown(model), "", "", "", _three(three), "", "quoted, not reproduced"])
    return _table(rows)


def _compared(section: str, model: str, found: dict[str, float], published: dict[str, Three]) -> list[str]:
    if model not in published:
        return ["", "", ""]
    off = [found[measure] - known for measure, known in zip(MEASURES, published[model], strict=True)]
    far = [measure for measure, by in zip(MEASURES, off, strict=True) if abs(by) > TOLERANCE]
    reasons = EXPLAINED.get((section, model), {})
    note = "; ".join(dict.fromkeys(reasons.get(measure, NOT_EXPLAINED) for measure in far))
    return [_three(published[model]), " / ".join(f"{value:+.3f}" for value in off), note]


def _intervals_table(section: Section) -> list[str]:
    assert section.intervals is not None
    rows = [["model", *TITLES.values(), "champion's AP gain over this model"]]
    for model, found in section.intervals.models.items():
        less = section.intervals.champion_less.get(model)
        rows.append(
            [
                _shown(model),
                *(_between(found[name]) if name in found else "" for name in MEASURES),
                _between(less, "+") if less else "",
            ]
        )
    return _table(rows)


def _foundations(results: Results) -> list[str]:
    chosen = "; ".join(
        f"{_shown(model)} {', '.join(f'{name} {value}' for name, value in parameters.items())}"
        for model, parameters in results.chosen.items()
    )
    took = ", ".join(f"{seconds:.1f}" for seconds in results.champion_seconds.values())
    return [
        "## Basis of the results",
        "",
        f"- Parameters of the published models in the test weeks: {chosen}.",
        "- The published models use the 15 published features, computed by our kernel: within one second, a "
        "customer's payment includes its payments with lower ids.",
        f"- The champion, xgboost all features and xgboost base features 90 days train on up to {HISTORY_DAYS} days, "
        f"the first two on all {len(FEATURES)} features (version {FEATURES_VERSION}). Training the champion took "
        f"{took} s for each week, on {results.cores} cores.",
        *(f"- Note: {note}." for note in results.notes),
    ]


def _table(rows: list[list[str]]) -> list[str]:
    """A Markdown table with the champion last, aligned to be readable as plain text."""
    rows = [rows[0], *sorted(rows[1:], key=lambda row: row[0] == CHAMPION)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))} |" for row in rows]
    return [lines[0], f"|{'|'.join('-' * (width + 2) for width in widths)}|", *lines[1:]]


def _shown(model: str) -> str:
    return model.replace("_", " ")


def _with_spread(found: dict[str, float], measure: str) -> str:
    spread = found.get(f"{measure}_std")
    return f"{found[measure]:.3f}" + ("" if spread is None else f" ± {spread:.3f}")


def _three(three: Three) -> str:
    return " / ".join(f"{value:.3f}" for value in three)


def _between(interval: Interval, sign: str = "") -> str:
    return " to ".join(f"{value:{sign}.3f}" for value in interval)
