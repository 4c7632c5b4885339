"""Measure on the test window, draw, bundle and register: `python -m modeling.evaluate --run-id`."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from contracts.bundle import CARD_HTML, CARD_MARKDOWN, METADATA, TREES, Bundle, TrainingWindow, write_manifest
from modeling.data.dataset import SplitData, read_split
from modeling.errors import ModelingError
from modeling.evaluation.result import bounds, judge_models
from modeling.model_card.card import Facts, write_card
from modeling.model_card.plots import draw
from modeling.models.candidate import Candidate
from modeling.models.treelite_export import write_trees
from modeling.runner import run
from modeling.settings import Settings
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
    """Judge a run's model on its test window and register it as a new version; returns what there is to say of it.

    Evaluating a run again registers nothing anew. Raises `ModelingError`.
    """
    with registry(settings) as client, tempfile.TemporaryDirectory() as folder:
        trained = read_run(client, run_id)
        candidate = trained.candidate
        data = _windows(trained, settings)
        root = download_model(trained.model_id, Path(folder, "model"))
        model, baseline = load_skops(root), load_skops(download_model(trained.baseline_id, Path(folder, "baseline")))
        judgement = judge_models(candidate, model, baseline, data, settings.costs)
        pictures = draw(judgement, data.test, settings.costs, candidate.reviews_per_1000)
        write_trees(model, root, data.test.features)
        write_card(root, Facts(settings.model_name, candidate, data, settings.costs, judgement), pictures)
        write_bundle(root, candidate, judgement.metrics)
        log_metrics(client, run_id, judgement.metrics | bounds(judgement.intervals))
        _log_files(client, run_id, root, pictures, Path(folder, "files"))
        upload_bundle(client, trained.model_id, root)
        version = register(client, trained, tags_of(candidate), settings)
    return {"run_id": run_id, "model_version": str(version.version)} | judgement.metrics


def write_bundle(root: Path, candidate: Candidate, metrics: dict[str, float]) -> None:
    """Write what the scorer needs beside the trees, and the manifest of all that is below `root`."""
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
    write_manifest(root, [TREES, METADATA, CARD_MARKDOWN, CARD_HTML, MODEL_FILE])


def load_skops(root: Path) -> Any:
    """The scikit-learn model below `root`, by this code's allow-list and not the one that lies beside the model."""
    import skops.io  # type: ignore[import-untyped]

    return skops.io.load(root / MODEL_FILE, trusted=TRUSTED_TYPES)


def _windows(trained: TrainedRun, settings: Settings) -> SplitData:
    split = trained.candidate.split
    data = read_split(settings.lake, split)
    if data.fingerprint != trained.candidate.data_fingerprint:
        raise ModelingError(
            f"the lake's data of {split.training.first}..{split.test.last} changed since run {trained.run_id} was "
            "trained on them: train again"
        )
    return data


def _log_files(client: Any, run_id: str, root: Path, pictures: dict[str, bytes], folder: Path) -> None:
    """The card and its pictures beside one another, as the card's text names them."""
    folder.mkdir()
    for name in (CARD_MARKDOWN, CARD_HTML):
        (folder / Path(name).name).write_bytes((root / name).read_bytes())
    for name, content in pictures.items():
        (folder / name).write_bytes(content)
    client.log_artifacts(run_id, str(folder))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m modeling.evaluate", description=__doc__)
    parser.add_argument("--run-id", required=True)
    print(json.dumps(evaluate(parser.parse_args().run_id, Settings())))


if __name__ == "__main__":
    run(main)
