"""The edges to MLflow: one client that fails fast and plainly, and the names of what it keeps."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from contracts.bundle import BUNDLE_DIR, CHAMPION
from modeling.errors import ModelingError
from modeling.settings import Settings

EXPERIMENT: Final = "fraud"
MODEL_ID_TAG: Final = "model_id"
CANDIDATE_FILE: Final = "candidate.json"
PATIENCE: Final = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


def connect(settings: Settings) -> Any:
    """A client of the registry. Raises `ModelingError` where it does not answer."""
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    import mlflow  # slow to import, and only from here on

    mlflow.set_tracking_uri(settings.mlflow_tracking_uri)
    client = mlflow.MlflowClient()
    try:
        mlflow.set_experiment(EXPERIMENT)
    except Exception as error:  # requests, urllib3 and MLflow each raise their own
        said = " ".join(str(error).split())[:200]
        raise ModelingError(
            f"MLflow at {settings.mlflow_tracking_uri} does not answer (MLFLOW_TRACKING_URI): {said}"
        ) from error
    return client


def champion_version(client: Any, settings: Settings) -> Any | None:
    """The model version that is champion now, if any."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(settings.model_name, CHAMPION)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def get_run(client: Any, run_id: str) -> Any:
    """A training run. Raises `ModelingError` where there is none of this id."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_run(run_id)
    except MlflowException as error:
        raise ModelingError(f"there is no run {run_id!r} in MLflow: train first") from error


def download_model(model_id: str, folder: Path) -> Path:
    """All files of a logged model, below `folder`."""
    import mlflow

    return Path(mlflow.artifacts.download_artifacts(artifact_uri=f"models:/{model_id}", dst_path=str(folder)))


def upload_bundle(client: Any, model_id: str, root: Path) -> None:
    """Attach `bundle/` below `root` to a logged model."""
    client.log_model_artifacts(model_id, str(root / BUNDLE_DIR), BUNDLE_DIR)
