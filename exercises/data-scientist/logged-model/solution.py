"""Calibrate a model's scores, and log it to MLflow so that others can run it."""

from __future__ import annotations

from typing import Any, Final

import mlflow
import mlflow.sklearn
import pandas as pd
from mlflow.models import infer_signature
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

FEATURES: Final = ["terminal_fraud_rate_7d", "amount", "customer_tx_count_7d", "is_night"]
"""In the order in which the model was fitted: it identifies columns by position, not by name."""
TRUSTED_TYPES: Final = [
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
]
"""Types that skops may load besides those it trusts by default; for `skops_trusted_types`."""
REQUIREMENTS: Final = ["scikit-learn", "skops", "numpy"]
"""The model's dependencies, for `pip_requirements`. Without them MLflow runs the model once more to find out."""


def log_calibrated(model: Any, training: pd.DataFrame, held_out: pd.DataFrame) -> str:
    """Calibrate, log to MLflow in a new run, and return the logged model's address, `models:/...`.

    `model` is a scikit-learn classifier, fitted on `training`; the payments of `held_out` came later. Both tables have
    one row per payment and the columns `FEATURES` and `fraud` (bool), in any order. MLflow is already configured.
    """
    # --- your work: begin
    calibrated = CalibratedClassifierCV(FrozenEstimator(model), method="sigmoid")
    calibrated.fit(held_out[FEATURES].to_numpy(), held_out["fraud"])
    example = training[FEATURES].head()
    with mlflow.start_run():
        logged = mlflow.sklearn.log_model(
            calibrated,
            name="model",
            signature=infer_signature(example, calibrated.predict_proba(example.to_numpy())),
            input_example=example,
            pyfunc_predict_fn="predict_proba",
            serialization_format="skops",
            skops_trusted_types=TRUSTED_TYPES,
            pip_requirements=REQUIREMENTS,
        )
    return logged.model_uri
    # --- your work: end
