"""Fit, calibrate and choose thresholds: `python -m modeling.train --from --to`. Its last line names the MLflow run."""

from __future__ import annotations

import argparse
import json
from typing import Any, Final

import numpy as np

from contracts.bundle import probability
from contracts.days import DayRange, add_day_range, day_range
from contracts.features import FEATURES, FEATURES_VERSION
from modeling.candidate import Candidate
from modeling.costs import cheapest_thresholds, total_cost
from modeling.dataset import SplitData, read_split
from modeling.estimators import BASELINE, CANDIDATE, fit_baseline, fit_calibration, fit_candidate, typical_genuine
from modeling.registry import CANDIDATE_FILE, MODEL_ID_TAG, connect
from modeling.runner import run
from modeling.settings import Settings
from modeling.split import split_days

TRUSTED_TYPES: Final = ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]
REQUIREMENTS: Final = ["scikit-learn", "skops", "numpy"]


def train(days: DayRange, settings: Settings) -> str:
    """Train on the lake's features of some days and track it; returns the run's id."""
    split = split_days(days)
    print(f"training {split.training}, validation {split.validation}, test {split.test}", flush=True)
    data = read_split(settings.lake, split)
    print(f"{len(data.training.frauds):,} payments to train on, {data.training.frauds.sum():,} frauds", flush=True)
    model, baseline = fit_candidate(data.training), fit_baseline(data.training)
    margins = model.decision_function(data.validation.features)
    calibration = fit_calibration(margins, data.validation.frauds)
    scores = probability(margins, calibration)
    chosen = cheapest_thresholds(scores, data.validation.frauds, data.validation.amounts, settings.costs)
    cost = total_cost(scores, data.validation.frauds, data.validation.amounts, chosen, settings.costs)
    candidate = Candidate(
        first=days.first,
        last=days.last,
        calibration=calibration,
        thresholds=chosen,
        reference=dict(zip(FEATURES, typical_genuine(data.training).tolist(), strict=True)),
        data_fingerprint=data.fingerprint,
    )
    metrics = {"validation_cost_per_1000": 1_000 * cost / len(scores)}
    return _track(settings, candidate, data, model, baseline, metrics)


def _track(
    settings: Settings, candidate: Candidate, data: SplitData, model: Any, baseline: Any, metrics: dict[str, float]
) -> str:
    client = connect(settings)
    import mlflow

    with mlflow.start_run() as current:
        mlflow.log_params(
            {f"candidate.{name}": value for name, value in CANDIDATE.items()}
            | {f"baseline.{name}": value for name, value in BASELINE.items()}
            | {"days": f"{candidate.first}..{candidate.last}", "features_version": FEATURES_VERSION}
        )
        mlflow.log_params(settings.model_dump(include={"review_cost", "decline_cost"}))
        mlflow.log_metrics(metrics | _sizes(data))
        mlflow.set_tags({"data_fingerprint": candidate.data_fingerprint, **_windows(candidate)})
        mlflow.log_text(candidate.model_dump_json(indent=2), CANDIDATE_FILE)
        _log_model(baseline, "baseline", data, trusted=[])
        logged = _log_model(model, "model", data, trusted=TRUSTED_TYPES)
        client.set_tag(current.info.run_id, MODEL_ID_TAG, logged.model_id)
        run_id: str = current.info.run_id
    return run_id


def _log_model(model: Any, name: str, data: SplitData, trusted: list[str]) -> Any:
    import mlflow.sklearn
    import pandas as pd
    from mlflow.models import infer_signature

    few = data.test.features[:5]
    return mlflow.sklearn.log_model(
        model,
        name=name,
        signature=infer_signature(pd.DataFrame(few, columns=list(FEATURES)), model.predict_proba(few)),
        serialization_format="skops",
        skops_trusted_types=trusted,
        # Stated, for MLflow would start the model in another process to find them out.
        pip_requirements=REQUIREMENTS,
        pyfunc_predict_fn="predict_proba",
    )


def _sizes(data: SplitData) -> dict[str, float]:
    sizes: dict[str, float] = {}
    for name in ("training", "validation", "test"):
        frauds = getattr(data, name).frauds
        sizes |= {f"{name}_payments": float(len(frauds)), f"{name}_frauds": float(np.sum(frauds))}
    return sizes


def _windows(candidate: Candidate) -> dict[str, str]:
    return {f"window.{name}": str(getattr(candidate.split, name)) for name in ("training", "validation", "test")}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m modeling.train", description=__doc__)
    add_day_range(parser)
    print(json.dumps({"run_id": train(day_range(parser, parser.parse_args()), Settings())}))


if __name__ == "__main__":
    run(main)
