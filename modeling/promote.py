"""Move the alias `champion` to a run's version if it passes the gate: `python -m modeling.promote --run-id`."""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from contracts.bundle import CHAMPION, Bundle, BundleError, probability, read_bundle
from contracts.days import DayRange
from modeling.data.dataset import Dataset, read_test
from modeling.errors import ModelingError
from modeling.evaluation.costs import Costs
from modeling.evaluation.gate import GateDecision, GateMetrics, compare, first_champion
from modeling.evaluation.metrics import measure
from modeling.models.candidate import Candidate
from modeling.models.treelite_export import margins, read_trees
from modeling.runner import run
from modeling.settings import Settings, read_settings
from modeling.tracking.bundle_signature import (
    has_valid_signature,
    read_signing_key,
    sign_version,
    stored_manifest,
    verified_manifest,
    was_withdrawn,
)
from modeling.tracking.mlflow_client import (
    champion_version,
    download_model,
    read_run,
    record_gate_decision,
    registry,
    version_of,
)


@dataclass(frozen=True)
class MeasuredVersion:
    """A registered version with a verified bundle, and its metrics on the challenger's test window."""

    version: Any
    bundle: Bundle
    manifest: bytes
    metrics: GateMetrics


def promote(run_id: str, settings: Settings, *, sign_again: bool = False) -> dict[str, Any]:
    """Compare a registered run with the current champion on the run's test window and promote it if it passes the gate.

    A champion that was withdrawn counts as none.

    A promoted version is signed before the alias moves. `sign_again`: sign the run's version if it is the champion and
    has no signature of the current key, for example after an upgrade or a new key.

    Returns its version, whether it was promoted, and the reason. Raises `ModelingError` for a run without a version, or
    without the key that signs.
    """
    key = read_signing_key(settings)
    with registry(settings) as client:
        trained = read_run(client, run_id)
        version = version_of(client, run_id, settings)
        if version is None:
            raise ModelingError(
                f"run {run_id} has no registered version: run modeling.evaluate --run-id {run_id} first"
            )
        if was_withdrawn(version):
            return _result(version, GateDecision(False, "it was withdrawn permanently: train a new version"))
        champion = champion_version(client, settings)
        if champion is not None and was_withdrawn(champion):
            champion = None
        if champion is not None and champion.version == version.version:
            return _result(version, GateDecision(False, _renew(client, key, champion, settings, sign_again)))
        decision, manifest = _decide(trained.candidate, version, champion, settings)
        record_gate_decision(client, version, decision, settings)
        if decision.promoted:
            # First the signature: the scorer rejects a champion without one.
            sign_version(client, key, version, manifest, settings)
            client.set_registered_model_alias(settings.model_name, CHAMPION, version.version)
        return _result(version, decision)


def _renew(client: Any, key: Ed25519PrivateKey, champion: Any, settings: Settings, sign_again: bool) -> str:
    """Sign the champion if its signature is not valid and `sign_again` says so; returns what was found."""
    try:
        manifest = stored_manifest(champion)
    except BundleError as error:
        return f"it is already the champion, but its bundle is not usable: {error}"
    if has_valid_signature(key, champion, manifest, settings):
        return "it is already the champion"
    if not sign_again:
        return (
            "it is already the champion, but it was not signed with the current key: if you trust the version in "
            "MLflow, add --sign-again"
        )
    sign_version(client, key, champion, manifest, settings)
    return "it is already the champion, and is signed again"


def _decide(candidate: Candidate, version: Any, champion: Any | None, settings: Settings) -> tuple[GateDecision, bytes]:
    """The gate's decision, and the manifest of the files that it measured."""
    test = read_test(settings.lake, candidate.split)
    try:
        challenger = _measured(version, test, settings.costs)
    except BundleError as error:
        return GateDecision(False, f"its bundle is not usable: {error}"), b""
    return _apply_gate(candidate, challenger, champion, test, settings), challenger.manifest


def _apply_gate(
    candidate: Candidate, challenger: MeasuredVersion, champion: Any | None, test: Dataset, settings: Settings
) -> GateDecision:
    if champion is None:
        return first_champion(challenger.metrics)
    try:
        current = _measured(champion, test, settings.costs)
    except BundleError as error:
        return GateDecision(True, f"the champion, version {champion.version}, is no longer usable: {error}")
    if (zone := current.bundle.bank_zone.id) != candidate.bank_zone.id:
        # Measured on features for another zone, its metrics would not be meaningful.
        old, new = zone.versus(candidate.bank_zone.id)
        return GateDecision(
            True, f"the champion, version {champion.version}, is for the zone {old}, and this version for {new}"
        )
    return _why_not_comparable(challenger, current, candidate) or compare(challenger.metrics, current.metrics)


def _why_not_comparable(
    challenger: MeasuredVersion, champion: MeasuredVersion, candidate: Candidate
) -> GateDecision | None:
    """A decision that keeps the champion if the test window cannot compare the two; None if it can."""
    name = f"the champion, version {champion.version.version}"
    if _fingerprints(challenger) == _fingerprints(champion):
        return GateDecision(False, f"it has the same data and parameters as {name}")
    window = champion.bundle.training_window
    trained = DayRange(date.fromisoformat(window.first), date.fromisoformat(window.last))
    test = candidate.split.test
    if trained.first <= test.last and test.first <= trained.last:
        return GateDecision(False, f"{name}, was trained on days in the test window {test}: train on later days")
    return None


def _fingerprints(measured: MeasuredVersion) -> tuple[str, str | None]:
    return measured.bundle.data_fingerprint, measured.version.tags.get("parameters_fingerprint")


def _measured(version: Any, test: Dataset, costs: Costs) -> MeasuredVersion:
    """Measure a version on the test window with its bundle, as the scorer runs it. Raises `BundleError`."""
    with tempfile.TemporaryDirectory() as folder:
        root = download_model(version.source.removeprefix("models:/"), Path(folder))
        manifest = verified_manifest(root)
        bundle = read_bundle(root)
        scores = probability(margins(read_trees(root), test.features), bundle.calibration)
    found = measure(scores, test, bundle.thresholds, costs)
    metrics = GateMetrics(found["average_precision"], found["cost_per_1000"], found["cost_per_1000_approving_all"])
    return MeasuredVersion(version, bundle, manifest, metrics)


def _result(version: Any, decision: GateDecision) -> dict[str, Any]:
    return {"model_version": str(version.version), "promoted": decision.promoted, "reason": decision.reason}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m modeling.promote", description=__doc__)
    parser.add_argument("--run-id", required=True)
    parser.add_argument("--sign-again", action="store_true", help="sign the champion: after an upgrade, for a new key")
    given = parser.parse_args()
    print(json.dumps(promote(given.run_id, read_settings(), sign_again=given.sign_again)))


if __name__ == "__main__":
    run(main)
