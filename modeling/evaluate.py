"""Evaluate a run on its test window, write its bundle and register it: `python -m modeling.evaluate --run-id`."""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from pathlib import Path
from typing import Any

from contracts.bundle import CARD_HTML, CARD_MARKDOWN, METADATA, TREES, Bundle, TrainingWindow, write_manifest
from modeling.data.dataset import SplitData, read_split
from modeling.errors import ModelingError
from modeling.evaluation.result import bounds, evaluate_models
from modeling.model_card.card import Facts, write_card
from modeling.model_card.plots import draw
from modeling.models.candidate import Candidate
from modeling.models.treelite_export import write_trees
from modeling.runner import run
from modeling.settings import Settings, read_settings
from modeling.tracking.mlflow_client import (
    MODEL_FILE,
    TrainedRun,
    download_model,
    log_metrics,
    read_run,
    register,
    registry,
    upload_bundle,
)
from modeling.tracking.run_logger import TRUSTED_TYPES, tags_of


def evaluate(run_id: str, settings: Settings) -> dict[str, Any]:
    """Evaluate a run's model on its test window and register it as a version; returns its version and metrics.

    A run that is already registered keeps its version. Raises `ModelingError`.
    """
    with registry(settings) as client, tempfile.TemporaryDirectory() as folder:
        trained = read_run(client, run_id)
        candidate = trained.candidate
        data = _windows(trained, settings)
        root = download_model(trained.model_id, Path(folder, "model"))
        model, baseline = load_skops(root), load_skops(download_model(trained.baseline_id, Path(folder, "baseline")))
        result = evaluate_models(candidate, model, baseline, data, settings.costs)
        plots = draw(result, data.test, settings.costs, candidate.reviews_per_1000)
        write_trees(model, root, data.test.features)
        write_card(root, Facts(settings.model_name, candidate, data, settings.costs, result), plots)
        write_bundle(root, candidate, result.metrics)
        log_metrics(client, run_id, result.metrics | bounds(result.intervals))
        _log_files(client, run_id, root, plots, Path(folder, "files"))
        upload_bundle(client, trained.model_id, root)
        version = register(client, trained, tags_of(candidate), settings)
    return {"run_id": run_id, "model_version": str(version.version)} | result.metrics


def write_bundle(root: Path, candidate: Candidate, metrics: dict[str, float]) -> None:
    """Write `bundle.json` and the manifest under `root`."""
    window = candidate.split.training
    bundle = Bundle(
        bank_zone=candidate.bank_zone,
        calibration=candidate.decider.calibration,
        thresholds=candidate.decider.thresholds,
        reference=candidate.reference,
        training_window=TrainingWindow.model_validate({"from": str(window.first), "to": str(window.last)}),
        data_fingerprint=candidate.data_fingerprint,
        # An undefined metric is NaN, which JSON does not have.
        metrics={name: value for name, value in metrics.items() if math.isfinite(value)},
    )
    (root / METADATA).write_text(bundle.model_dump_json(by_alias=True, indent=2) + "\n")
    write_manifest(root, [TREES, METADATA, CARD_MARKDOWN, CARD_HTML, MODEL_FILE])


def load_skops(root: Path) -> Any:
    """Load the scikit-learn model under `root` with this code's allow-list, not the one stored with the model."""
    import skops.io  # type: ignore[import-untyped]

    return skops.io.load(root / MODEL_FILE, trusted=TRUSTED_TYPES)


def _windows(trained: TrainedRun, settings: Settings) -> SplitData:
    split = trained.candidate.split
    data = read_split(settings.lake, split)
    if data.fingerprint != trained.candidate.data_fingerprint:
        raise ModelingError(
            f"the lake's data for {split.training.first}..{split.test.last} has changed since run {trained.run_id} was "
            "trained: train again"
        )
    return data


def _log_files(client: Any, run_id: str, root: Path, plots: dict[str, bytes], folder: Path) -> None:
    """Log the card and its plots in one folder, because the card's Markdown links to them by name."""
    folder.mkdir()
    for name in (CARD_MARKDOWN, CARD_HTML):
        (folder / Path(name).name).write_bytes((root / name).read_bytes())
    for name, content in plots.items():
        (folder / name).write_bytes(content)
    client.log_artifacts(run_id, str(folder))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m modeling.evaluate", description=__doc__)
    parser.add_argument("--run-id", required=True)
    print(json.dumps(evaluate(parser.parse_args().run_id, read_settings())))


if __name__ == "__main__":
    run(main)
