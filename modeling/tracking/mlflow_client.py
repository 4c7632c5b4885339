"""The MLflow client: short timeouts, clear errors, and the names of runs, files and tags."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from contracts.addresses import is_own, problem_of, redact
from contracts.bundle import BUNDLE_DIR, CHAMPION, BundleError
from modeling.errors import ModelingError
from modeling.evaluation.gate import GateDecision
from modeling.models.candidate import Candidate
from modeling.settings import Settings

EXPERIMENT: Final = "fraud"
CANDIDATE_FILE: Final = "candidate.json"
MODEL, BASELINE_MODEL = "model", "baseline"
MODEL_FILE: Final = "model.skops"
MODEL_ID_TAG: Final = "model_id"
BASELINE_ID_TAG: Final = "baseline_model_id"
RUN_ID_TAG: Final = "run_id"
TAG_LENGTH: Final = 1_000
LOGIN: Final = "mlflow_login"
"""The secret file with `user:password`, where MLflow asks for a login."""
DEFAULTS: Final = {
    # MLflow's defaults are 120 s and 7 attempts: minutes of silence if the server is down.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
STEERING: Final = ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME")
"""Variables with which MLflow would continue a run, or write to an experiment, that no command here named."""
NO_PROXY: Final = {"NO_PROXY": "*", "no_proxy": "*"}


@dataclass(frozen=True)
class TrainedRun:
    """A finished training run: the ids of its logged models and its candidate."""

    run_id: str
    model_id: str
    baseline_id: str
    candidate: Candidate


@contextmanager
def registry(settings: Settings, experiment: str = EXPERIMENT) -> Iterator[Any]:
    """An MLflow client with the experiment set. Raises `ModelingError` for any failure of MLflow in its body."""
    _prepare_environment(settings)
    import mlflow
    import requests

    _log_in(settings)
    # It warns that pip's version is unknown; the environments have no pip.
    logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)
    mlflow.set_tracking_uri(settings.mlflow_tracking_uri)
    mlflow.set_registry_uri(settings.mlflow_tracking_uri)
    try:
        mlflow.set_experiment(experiment)
        yield mlflow.MlflowClient()
    except (mlflow.MlflowException, requests.RequestException) as error:
        raise ModelingError(
            f"the request to MLflow at {redact(settings.mlflow_tracking_uri)} (MLFLOW_TRACKING_URI) failed "
            f"({redact(' '.join(str(error).split()))[:300]}): check that MLflow runs there, then run this command again"
        ) from error


def _prepare_environment(settings: Settings) -> None:
    """Set what MLflow's client reads from the environment, before it is imported. Raises `ModelingError`."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    for name in STEERING:
        os.environ.pop(name, None)
    address, other = settings.mlflow_tracking_uri, os.environ.get("MLFLOW_REGISTRY_URI", "")
    if other.rstrip("/") not in ("", address.rstrip("/")):
        raise ModelingError(
            f"MLFLOW_REGISTRY_URI is {redact(other)}, but the scorer looks for champions at MLFLOW_TRACKING_URI "
            f"({redact(address)}): unset MLFLOW_REGISTRY_URI, or set both to one address"
        )
    if problem := problem_of(address):
        raise ModelingError(f"MLFLOW_TRACKING_URI {redact(address)} is not a valid address: {problem}")
    if is_own(address):
        os.environ.update(NO_PROXY)


def _log_in(settings: Settings) -> None:
    """Have MLflow's client use the login of the secret `mlflow_login`, if there is one. Raises `ModelingError`."""
    file = settings.secrets_dir / LOGIN
    if not file.exists():
        return
    user, _, password = file.read_text().strip().partition(":")
    if not (user and password):
        raise ModelingError(f"{file} is not user:password: write MLflow's login, or delete the file")
    # The client reads them nowhere else.
    os.environ.setdefault("MLFLOW_TRACKING_USERNAME", user)
    os.environ.setdefault("MLFLOW_TRACKING_PASSWORD", password)


def read_run(client: Any, run_id: str) -> TrainedRun:
    """Read a training run. Raises `ModelingError` if there is no such run or it did not finish."""
    import mlflow

    try:
        tags = client.get_run(run_id).data.tags
    except mlflow.MlflowException as error:
        if not _is_missing(error):
            raise
        raise ModelingError(
            f"there is no run {run_id!r} in MLflow: use the run_id that modeling.train printed"
        ) from None
    if MODEL_ID_TAG not in tags:
        raise ModelingError(f"run {run_id} has no model because its training did not finish: train again")
    candidate = Candidate.model_validate_json(mlflow.artifacts.load_text(f"runs:/{run_id}/{CANDIDATE_FILE}"))
    return TrainedRun(run_id, tags[MODEL_ID_TAG], tags[BASELINE_ID_TAG], candidate)


def champion_version(client: Any, settings: Settings) -> Any | None:
    """The current champion's model version; None if there is none."""
    import mlflow

    try:
        return client.get_model_version_by_alias(settings.model_name, CHAMPION)
    except mlflow.MlflowException as error:
        if _is_missing(error):
            return None
        raise


def log_metrics(client: Any, run_id: str, metrics: dict[str, float]) -> None:
    """Log metrics to a finished run, in one request."""
    import mlflow

    client.log_batch(run_id, metrics=[mlflow.entities.Metric(name, value, 0, 0) for name, value in metrics.items()])


def version_of(client: Any, run_id: str, settings: Settings) -> Any | None:
    """The newest registered version of a run; None if there is none."""
    found = client.search_model_versions(f"name='{settings.model_name}' and tag.{RUN_ID_TAG}='{run_id}'")
    return max(found, key=lambda version: int(version.version), default=None)


def register(client: Any, trained: TrainedRun, tags: dict[str, str], settings: Settings) -> Any:
    """Register a run's model as a version; returns the existing version if there is one."""
    import mlflow

    existing = version_of(client, trained.run_id, settings)
    if existing is not None:
        return existing
    tags = {RUN_ID_TAG: trained.run_id, **tags}
    return mlflow.register_model(f"models:/{trained.model_id}", settings.model_name, tags=tags)


def record_gate_decision(client: Any, version: Any, decision: GateDecision, settings: Settings) -> None:
    """Tag a version with the gate's decision."""
    tags = {"gate": "promoted" if decision.promoted else "kept out", "gate.reason": decision.reason[:TAG_LENGTH]}
    for name, value in tags.items():
        client.set_model_version_tag(settings.model_name, version.version, name, value)


def download_model(model_id: str, folder: Path) -> Path:
    """Download all files of a logged model to `folder`. Raises `BundleError` if it was deleted."""
    import mlflow

    folder.mkdir(parents=True, exist_ok=True)
    try:
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=f"models:/{model_id}", dst_path=str(folder)))
    except mlflow.MlflowException as error:
        if not _is_missing(error):
            raise
        raise BundleError(f"the files of model {model_id} are no longer in MLflow: train again") from None


def upload_bundle(client: Any, model_id: str, root: Path) -> None:
    """Upload `bundle/` under `root` to a logged model."""
    client.log_model_artifacts(model_id, str(root / BUNDLE_DIR), BUNDLE_DIR)


def _is_missing(error: Any) -> bool:
    # For a missing alias MLflow answers INVALID_PARAMETER_VALUE.
    return error.error_code == "RESOURCE_DOES_NOT_EXIST" or "not found" in str(error)
