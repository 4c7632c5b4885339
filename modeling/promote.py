"""Move the alias `champion`, if the gate lets the challenger through: `python -m modeling.promote --run-id`."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from contracts.bundle import CHAMPION, METADATA, TREES, Bundle, BundleError, probability, read_bundle, verify
from modeling.candidate import Candidate
from modeling.dataset import Dataset, read_reports, read_window
from modeling.errors import ModelingError
from modeling.gate import Standing, Verdict, first_champion, judge
from modeling.metrics import measure
from modeling.registry import CANDIDATE_FILE, champion_version, connect, download_model, get_run
from modeling.runner import run
from modeling.settings import Settings
from modeling.trees import margins, read_trees


def promote(run_id: str, settings: Settings) -> dict[str, Any]:
    """Judge a registered run against the present champion, both on the run's test window.

    Raises `ModelingError` or `BundleError` for a run that is not registered or whose bundle does not verify.
    """
    client = connect(settings)
    version = _version_of(client, run_id, settings)
    champion = champion_version(client, settings)
    if champion is not None and champion.version == version.version:
        return _said(version, Verdict(False, "it is the champion already"))
    verdict = _judge(run_id, version, champion, settings)
    client.set_model_version_tag(settings.model_name, version.version, "gate", verdict.reason)
    if verdict.promoted:
        client.set_registered_model_alias(settings.model_name, CHAMPION, version.version)
    return _said(version, verdict)


def _judge(run_id: str, version: Any, champion: Any | None, settings: Settings) -> Verdict:
    import mlflow

    candidate = Candidate.model_validate_json(mlflow.artifacts.load_text(f"runs:/{run_id}/{CANDIDATE_FILE}"))
    split = candidate.split
    data = read_window(settings.lake, split.test, read_reports(settings.lake, split.judged_at), split.judged_at)
    standing, bundle = _stand(version, data, settings)
    if champion is None:
        return first_champion(standing)
    try:
        present, present_bundle = _stand(champion, data, settings)
    except BundleError as error:
        return Verdict(True, f"the present champion, version {champion.version}, cannot be used any more: {error}")
    if bundle == present_bundle:
        return Verdict(False, f"it equals the present champion, version {champion.version}: same data, same model")
    return judge(standing, present)


def _stand(version: Any, data: Dataset, settings: Settings) -> tuple[Standing, Bundle]:
    """How a registered version does on some payments, as the scorer would run it."""
    with tempfile.TemporaryDirectory() as folder:
        root = download_model(version.source.removeprefix("models:/"), Path(folder))
        verify(root, [TREES, METADATA, *(path.name for path in root.glob("*.skops"))])
        bundle = read_bundle(root)
        scores = probability(margins(read_trees(root), data.features), bundle.calibration)
    found = measure(scores, data, bundle.thresholds, settings.costs)
    standing = Standing(found["average_precision"], found["cost_per_1000"], found["cost_per_1000_approving_all"])
    return standing, bundle


def _version_of(client: Any, run_id: str, settings: Settings) -> Any:
    get_run(client, run_id)
    found = client.search_model_versions(f"name='{settings.model_name}' and tag.run_id='{run_id}'")
    if not found:
        raise ModelingError(f"run {run_id} has no registered model version: evaluate it first")
    return max(found, key=lambda version: int(version.version))


def _said(version: Any, verdict: Verdict) -> dict[str, Any]:
    return {"model_version": str(version.version), "promoted": verdict.promoted, "reason": verdict.reason}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m modeling.promote", description=__doc__)
    parser.add_argument("--run-id", required=True)
    print(json.dumps(promote(parser.parse_args().run_id, Settings())))


if __name__ == "__main__":
    run(main)
