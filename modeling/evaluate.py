"""Measure on the test window, draw, bundle and register: `python -m modeling.evaluate --run-id`."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.bundle import BUNDLE_DIR, METADATA, TREES, Bundle, TrainingWindow, probability, write_manifest
from modeling.candidate import Candidate
from modeling.curves import cost_figure, precision_recall_figure
from modeling.dataset import SplitData, read_split
from modeling.errors import ModelingError
from modeling.metrics import measure
from modeling.registry import CANDIDATE_FILE, MODEL_ID_TAG, connect, download_model, get_run, upload_bundle
from modeling.runner import run
from modeling.settings import Settings
from modeling.trees import write_trees


def evaluate(run_id: str, settings: Settings) -> dict[str, Any]:
    """Judge a run's model on its test window and register it as a new version; returns what there is to say of it."""
    client = connect(settings)
    import mlflow

    tags = get_run(client, run_id).data.tags
    candidate = Candidate.model_validate_json(mlflow.artifacts.load_text(f"runs:/{run_id}/{CANDIDATE_FILE}"))
    data = read_split(settings.lake, candidate.split)
    if data.fingerprint != candidate.data_fingerprint:
        raise ModelingError(f"the lake's features of {candidate.split.test} changed since run {run_id}: train again")
    model = mlflow.sklearn.load_model(f"models:/{tags[MODEL_ID_TAG]}")
    baseline = mlflow.sklearn.load_model(f"runs:/{run_id}/baseline")
    scores = probability(model.decision_function(data.test.features), candidate.calibration)
    baseline_scores = baseline.predict_proba(data.test.features)[:, 1]
    metrics = _metrics(scores, baseline_scores, data, candidate, settings)
    for name, value in metrics.items():
        client.log_metric(run_id, name, value)
    named = {"gradient boosting": scores, "logistic regression": baseline_scores}
    client.log_figure(run_id, precision_recall_figure(data.test, named), "precision_recall.png")
    client.log_figure(run_id, cost_figure(data.test, scores, candidate.thresholds, settings.costs), "cost.png")
    _attach_bundle(client, tags[MODEL_ID_TAG], candidate, metrics, model, data.test.features)
    version = _register(run_id, tags[MODEL_ID_TAG], candidate, settings)
    return {"run_id": run_id, "model_version": version} | metrics


def _metrics(
    scores: NDArray[np.float64],
    baseline_scores: NDArray[np.float64],
    data: SplitData,
    candidate: Candidate,
    settings: Settings,
) -> dict[str, float]:
    found = measure(scores, data.test, candidate.thresholds, settings.costs)
    baseline = measure(baseline_scores, data.test, candidate.thresholds, settings.costs)
    return {f"test_{name}": value for name, value in found.items()} | {
        f"baseline_{name}": baseline[name] for name in ("average_precision", "roc_auc", "card_precision_100")
    }


def _attach_bundle(
    client: Any, model_id: str, candidate: Candidate, metrics: dict[str, float], model: Any, rows: NDArray[np.float64]
) -> None:
    window = candidate.split.training
    bundle = Bundle(
        calibration=candidate.calibration,
        thresholds=candidate.thresholds,
        reference=candidate.reference,
        training_window=TrainingWindow.model_validate({"from": str(window.first), "to": str(window.last)}),
        data_fingerprint=candidate.data_fingerprint,
        metrics=metrics,
    )
    with tempfile.TemporaryDirectory() as folder:
        root = download_model(model_id, Path(folder))
        (root / BUNDLE_DIR).mkdir(exist_ok=True)
        write_trees(model, root, rows)
        (root / METADATA).write_text(bundle.model_dump_json(by_alias=True, indent=2) + "\n")
        write_manifest(root, [TREES, METADATA, *(path.name for path in root.glob("*.skops"))])
        upload_bundle(client, model_id, root)


def _register(run_id: str, model_id: str, candidate: Candidate, settings: Settings) -> str:
    import mlflow

    registered = mlflow.register_model(
        f"models:/{model_id}",
        settings.model_name,
        tags={
            "data_fingerprint": candidate.data_fingerprint,
            "run_id": run_id,
            "window.test": str(candidate.split.test),
        },
    )
    return str(registered.version)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m modeling.evaluate", description=__doc__)
    parser.add_argument("--run-id", required=True)
    print(json.dumps(evaluate(parser.parse_args().run_id, Settings())))


if __name__ == "__main__":
    run(main)
