"""Train, calibrate and choose thresholds: `python -m modeling.train --from --to`. The last line has the run's id."""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.bundle import Thresholds
from contracts.days import DayRange, add_day_range, day_range
from contracts.features import FEATURES
from contracts.zones import REBUILD_ALL, Zone, ZoneId, find_zone
from modeling.data.dataset import Dataset, SplitData, read_split
from modeling.data.lake import history_of, require_reports
from modeling.data.split import Split, split_days
from modeling.errors import ModelingError
from modeling.evaluation.costs import Costs, total_cost
from modeling.evaluation.thresholds import cheapest_thresholds
from modeling.models.candidate import Candidate, DecisionPolicy
from modeling.models.estimators import fit_baseline, fit_calibration, fit_candidate, typical_genuine
from modeling.runner import run
from modeling.settings import Settings, read_settings
from modeling.tracking.mlflow_client import registry
from modeling.tracking.run_logger import parameters, parameters_fingerprint, track


def train(days: DayRange, settings: Settings) -> str:
    """Train on the lake's features for a range of days and log the run to MLflow; returns the run's id.

    Raises `ModelingError`.
    """
    history = history_of(settings.lake, days)
    require_reports(settings.lake)
    split = split_days(days)
    with registry(settings) as client:
        data = _read(split, settings)
        zone = zone_of(data.zone, settings.zone)
        model, baseline = fit_candidate(data.training), fit_baseline(data.training)
        costs, budget = settings.costs, settings.reviews_per_1000
        decider = fit_decision_policy(model, data.validation, costs, budget)
        found = parameters(costs, budget)
        candidate = Candidate(
            first=days.first,
            last=days.last,
            history_from=history.first,
            reviews_per_1000=budget,
            decider=decider,
            baseline=fit_decision_policy(baseline, data.validation, costs, budget),
            reference=dict(zip(FEATURES, typical_genuine(data.training).tolist(), strict=True)),
            data_fingerprint=data.fingerprint,
            parameters_fingerprint=parameters_fingerprint(found),
            held_to_amount=any(model.monotonic_cst),
            bank_zone=zone,
        )
        metrics = {"validation_cost_per_1000": _cost(model, decider, data.validation, costs)}
        return track(client, candidate, data, model, baseline, metrics, found)


def fit_decision_policy(model: Any, validation: Dataset, costs: Costs, reviews_per_1000: float) -> DecisionPolicy:
    """Fit calibration and thresholds for a model with a `decision_function`, on the validation window.

    On that window, at most `reviews_per_1000` of 1,000 payments are reviewed, on average over its days.
    """
    margins: NDArray[np.float64] = model.decision_function(validation.features)
    calibration = fit_calibration(margins, validation.frauds)
    scale = DecisionPolicy(calibration=calibration, thresholds=Thresholds(review=1, decline=1))
    scores = scale.scores(margins)
    thresholds = cheapest_thresholds(scores, validation.frauds, validation.amounts, costs, reviews_per_1000)
    return DecisionPolicy(calibration=calibration, thresholds=thresholds)


def zone_of(features: ZoneId, wanted: Zone | None) -> Zone:
    """The zone that the features are for, with its table.

    Raises `ModelingError` if it is not the `wanted` one, or if its rules have changed since the features were built.
    """
    if wanted is not None and wanted.id != features:
        theirs, ours = features.versus(wanted.id)
        raise ModelingError(f"the features are for the zone {theirs}, but BANK_ZONE is {ours}: {REBUILD_ALL}")
    try:
        found = find_zone(features.name)
    except ValueError as error:
        raise ModelingError(f"the features are for an unknown zone: {error}, then {REBUILD_ALL}") from None
    if found.id != features:
        raise ModelingError(
            f"the rules of the zone {features} have changed since the features were built (package tzdata): "
            f"{REBUILD_ALL}"
        )
    return found


def _read(split: Split, settings: Settings) -> SplitData:
    print(f"training {split.training}, validation {split.validation}, test {split.test}", flush=True)
    data = read_split(settings.lake, split)
    for name, window in data.windows.items():
        left_out = f", {window.left_out:,} left out (unknown label)" if window.left_out else ""
        print(f"{name}: {len(window.frauds):,} payments, {window.frauds.sum():,} known frauds{left_out}", flush=True)
    return data


def _cost(model: Any, decider: DecisionPolicy, data: Dataset, costs: Costs) -> float:
    scores = decider.scores(model.decision_function(data.features))
    return 1_000 / len(scores) * total_cost(scores, data.frauds, data.amounts, decider.thresholds, costs)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m modeling.train", description=__doc__)
    add_day_range(parser)
    print(json.dumps({"run_id": train(day_range(parser, parser.parse_args()), read_settings())}))


if __name__ == "__main__":
    run(main)
