"""Measure on the test window, draw, bundle and register: `python -m modeling.evaluate --run-id`."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from contracts.bundle import METADATA, TREES, Bundle, TrainingWindow, write_manifest
from modeling.candidate import Candidate
from modeling.costs import Costs
from modeling.curves import cost_figure, precision_recall_figure
from modeling.dataset import Dataset, read_split
from modeling.errors import ModelingError
from modeling.metrics import measure
from modeling.registry import (
    MODEL_FILE,
    TrainedRun,
    download_model,
    log_metrics,
    read_run,
    register,
    registry,
    upload_bundle,
)
from modeling.runner import run
from modeling.settings import Settings
from modeling.tracking import TRUSTED_TYPES, tags_of
from modeling.trees import write_trees

CANDIDATE: Final = "gradient boosting"
BASELINE: Final = "logistic regression"


def evaluate(run_id: str, settings: Settings) -> dict[str, Any]:
    """Judge a run's model on its test window and register it as a new version; returns what there is to say of it.

    Evaluating a run again registers nothing anew. Raises `ModelingError`.
    """
    with registry(settings) as client, tempfile.TemporaryDirectory() as folder:
        trained = read_run(client, run_id)
        candidate = trained.candidate
        test = _test_window(trained, settings)
        root = download_model(trained.model_id, Path(folder, "model"))
        model, baseline = load_skops(root), load_skops(download_model(trained.baseline_id, Path(folder, "baseline")))
        scores = {
            CANDIDATE: candidate.decider.scores(model.decision_function(test.features)),
            BASELINE: candidate.baseline.scores(baseline.decision_function(test.features)),
        }
        metrics = _metrics(scores, test, candidate, settings.costs)
        write_bundle(root, candidate, metrics, model, test.features)
        log_metrics(client, run_id, metrics)
        client.log_figure(run_id, precision_recall_figure(test, scores), "precision_recall.png")
        cost = cost_figure(test, scores[CANDIDATE], candidate.decider.thresholds, settings.costs)
        client.log_figure(run_id, cost, "cost.png")
        upload_bundle(client, trained.model_id, root)
        version = register(client, trained, tags_of(candidate), settings)
    return {"run_id": run_id, "model_version": str(version.version)} | metrics


def write_bundle(
    root: Path, candidate: Candidate, metrics: dict[str, float], model: Any, rows: NDArray[np.float64]
) -> None:
    """Write `bundle/` beside the model file below `root`; `rows`, shape (n, features), prove the trees."""
    write_trees(model, root, rows)
    window = candidate.split.training
    bundle = Bundle(
        calibration=candidate.decider.calibration,
        thresholds=candidate.decider.thresholds,
        reference=candidate.reference,
        training_window=TrainingWindow.model_validate({"from": str(window.first), "to": str(window.last)}),
        data_fingerprint=candidate.data_fingerprint,
        metrics=metrics,
    )
    (root / METADATA).write_text(bundle.model_dump_json(by_alias=True, indent=2) + "\n")
    write_manifest(root, [TREES, METADATA, MODEL_FILE])


def load_skops(root: Path) -> Any:
    """The scikit-learn model below `root`, by this code's allow-list and not the one that lies beside the model."""
    import skops.io  # type: ignore[import-untyped]

    return skops.io.load(root / MODEL_FILE, trusted=TRUSTED_TYPES)


def _test_window(trained: TrainedRun, settings: Settings) -> Dataset:
    split = trained.candidate.split
    data = read_split(settings.lake, split)
    if data.fingerprint != trained.candidate.data_fingerprint:
        raise ModelingError(
            f"the lake's data of {split.training.first}..{split.test.last} changed since run {trained.run_id} was "
            "trained on them: train again"
        )
    return data.test


def _metrics(
    scores: dict[str, NDArray[np.float64]], test: Dataset, candidate: Candidate, costs: Costs
) -> dict[str, float]:
    found = measure(scores[CANDIDATE], test, candidate.decider.thresholds, costs)
    baseline = measure(scores[BASELINE], test, candidate.baseline.thresholds, costs)
    del baseline["cost_per_1000_approving_all"]
    return {f"test_{name}": value for name, value in found.items()} | {
        f"baseline_{name}": value for name, value in baseline.items()
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m modeling.evaluate", description=__doc__)
    parser.add_argument("--run-id", required=True)
    print(json.dumps(evaluate(parser.parse_args().run_id, Settings())))


if __name__ == "__main__":
    run(main)
