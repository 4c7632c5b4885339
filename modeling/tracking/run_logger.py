"""Log a training run to MLflow: parameters, metrics, windows, fingerprints and both models with their signature."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any, Final

from contracts.features import FEATURES, FEATURES_VERSION
from modeling.data.dataset import SplitData
from modeling.data.sampling import MAX_ROWS
from modeling.evaluation.costs import Costs
from modeling.models.binning import MAX_VALUES
from modeling.models.candidate import Candidate
from modeling.models.estimators import BASELINE, CANDIDATE
from modeling.models.monotonicity import RISING
from modeling.tracking.mlflow_client import (
    BASELINE_ID_TAG,
    BASELINE_MODEL,
    CANDIDATE_FILE,
    MODEL,
    MODEL_ID_TAG,
    log_metrics,
)

TRUSTED_TYPES: Final = ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]
"""The types that skops may load besides those it trusts by default."""
REQUIREMENTS: Final = ["scikit-learn", "skops", "numpy"]


def parameters(costs: Costs, reviews_per_1000: float) -> dict[str, Any]:
    """Everything besides the data that affects a model, by parameter name in MLflow."""
    return (
        {f"candidate.{name}": value for name, value in CANDIDATE.items()}
        | {f"baseline.{name}": value for name, value in BASELINE.items()}
        | {f"cost.{name}": value for name, value in asdict(costs).items()}
        | {"candidate.rising": ", ".join(RISING), "candidate.values_at_most": MAX_VALUES}
        | {"candidate.payments_at_most": MAX_ROWS, "reviews_per_1000": reviews_per_1000}
        | {"features_version": FEATURES_VERSION}
    )


def parameters_fingerprint(found: dict[str, Any]) -> str:
    """The SHA-256 of the parameters, independent of their order."""
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def track(
    client: Any,
    candidate: Candidate,
    data: SplitData,
    model: Any,
    baseline: Any,
    metrics: dict[str, float],
    found: dict[str, Any],
) -> str:
    """Log a training as a run; returns its id. The model's id is tagged last, so a run without it is unfinished."""
    import mlflow

    with mlflow.start_run(run_name=f"{candidate.first}..{candidate.last}") as current:
        mlflow.log_params(found)
        mlflow.set_tags(tags_of(candidate))
        mlflow.log_text(candidate.model_dump_json(indent=2), CANDIDATE_FILE)
        run_id: str = current.info.run_id
        baseline_id = _log_model(baseline, BASELINE_MODEL, data).model_id
        model_id = _log_model(model, MODEL, data).model_id
        # After the models and for the run only: MLflow would repeat each metric for each model, which its database
        # rejects.
        log_metrics(client, run_id, metrics | _sizes(data))
        client.set_tag(run_id, BASELINE_ID_TAG, baseline_id)
        client.set_tag(run_id, MODEL_ID_TAG, model_id)
    return run_id


def tags_of(candidate: Candidate) -> dict[str, str]:
    """The tags of the run and of the version: windows, fingerprints and the bank's zone."""
    return {
        "data_fingerprint": candidate.data_fingerprint,
        "parameters_fingerprint": candidate.parameters_fingerprint,
        "held_to_amount": str(candidate.held_to_amount).lower(),
        "bank_zone": candidate.bank_zone.id.name,
        **{f"window.{name}": str(getattr(candidate.split, name)) for name in ("training", "validation", "test")},
    }


def _log_model(model: Any, name: str, data: SplitData) -> Any:
    import mlflow.sklearn
    import pandas as pd
    from mlflow.models import infer_signature

    few = data.test.features[:5]
    return mlflow.sklearn.log_model(
        model,
        name=name,
        signature=infer_signature(pd.DataFrame(few, columns=list(FEATURES)), model.predict_proba(few)),
        serialization_format="skops",
        skops_trusted_types=TRUSTED_TYPES,
        # Given, because MLflow would otherwise load the model in another process to infer them.
        pip_requirements=REQUIREMENTS,
        pyfunc_predict_fn="predict_proba",
    )


def _sizes(data: SplitData) -> dict[str, float]:
    sizes: dict[str, float] = {}
    for name, window in data.windows.items():
        sizes |= {f"{name}_payments": float(len(window.frauds)), f"{name}_frauds": float(window.frauds.sum())}
        sizes[f"{name}_left_out"] = float(window.left_out)
    return sizes
