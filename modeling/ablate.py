"""Measure what each feature adds to average precision: `python -m modeling.ablate --from --to`.

On the folds before the test window, the candidate is trained without each feature beyond the published 15 in turn, and
on the published 15 with and without each group of added features.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from rich.progress import track

from contracts.days import DayRange
from contracts.features import BASE_FEATURES, FEATURES
from contracts.fraud_runs import FRAUD_RUN_FEATURES
from contracts.habit import HABIT_FEATURES
from modeling.data.folds import Folds, add_optional_days, constraints_of, days_to_choose_on, read_folds
from modeling.data.split import HISTORY_DAYS
from modeling.models.boosting import fit_boosted_trees
from modeling.models.estimators import CANDIDATE
from modeling.runner import run
from modeling.settings import Settings, read_settings

OUT: Final = Path("var/ablation.md")
ALL: Final = "all features"


def sets() -> dict[str, list[str]]:
    """The sets of features to compare, by their label in the table."""
    found = {
        "the published 15": list(BASE_FEATURES),
        "with the customer's habit": [*BASE_FEATURES, *HABIT_FEATURES],
        "with the terminal's runs of frauds": [*BASE_FEATURES, *FRAUD_RUN_FEATURES],
        ALL: list(FEATURES),
    }
    left_out = [name for name in FEATURES if name not in BASE_FEATURES]
    return found | {f"without `{name}`": [other for other in FEATURES if other != name] for name in left_out}


def ablate(days: DayRange, settings: Settings, out: Path = OUT) -> dict[str, float]:
    """The mean average precision of each set over the folds; it is written to `out` as a Markdown table, too.

    Raises `ModelingError`.
    """
    folds = read_folds(settings, days)
    found: dict[str, list[float]] = {}
    for name, features in track(sets().items(), description="sets of features"):
        found[name] = average_precisions(folds, features)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(table(found))
    print(f"wrote {out}")
    return {name: float(np.mean(values)) for name, values in found.items()}


def average_precisions(folds: Folds, features: Sequence[str]) -> list[float]:
    """The candidate's average precision on each fold, trained on these features only.

    The monotonic constraints are chosen for each set, because sets without the habit features lose more by them.
    """
    from sklearn.metrics import average_precision_score

    columns = [FEATURES.index(name) for name in features]
    constraints, found = constraints_of(folds, features), []
    for start in folds.starts:
        training, test = folds.training(start, HISTORY_DAYS), folds.tests[start]
        model = fit_boosted_trees(training.features[:, columns], training.frauds, CANDIDATE, constraints)
        margins = model.decision_function(test.features[:, columns])
        found.append(float(average_precision_score(test.frauds, margins)))
    return found


def table(found: Mapping[str, Sequence[float]]) -> str:
    """A Markdown table: each set's mean, its difference to all features and the number of folds where it is lower."""
    reference = found[ALL]
    lines = ["| features | average precision | difference to all | folds below all |", "|---|---|---|---|"]
    for name, values in found.items():
        below = sum(value < other for value, other in zip(values, reference, strict=True))
        difference = float(np.mean(values) - np.mean(reference))
        lines.append(f"| {name} | {np.mean(values):.4f} | {difference:+.4f} | {below} of {len(reference)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m modeling.ablate", description=__doc__)
    add_optional_days(parser)
    settings = read_settings()
    print(json.dumps(ablate(days_to_choose_on(parser, parser.parse_args(), settings.lake), settings)))


if __name__ == "__main__":
    run(main)
