"""Calibrate a model's scores, and log it to MLflow so that somebody else can run it without asking."""

from __future__ import annotations

from typing import Any, Final

import mlflow
import mlflow.sklearn
import pandas as pd
from mlflow.models import infer_signature
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

FEATURES: Final = ["terminal_fraud_rate_7d", "amount", "customer_tx_count_7d", "is_night"]
"""In the order in which the model was fitted: it knows its columns by their place, not by their names."""
TRUSTED_TYPES: Final = [
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
]
"""What skops may load beside the types that it trusts of itself; for `skops_trusted_types`."""
REQUIREMENTS: Final = ["scikit-learn", "skops", "numpy"]
"""What the model needs; for `pip_requirements`. Without them MLflow starts the model once more to find out."""


def log_calibrated(model: Any, training: pd.DataFrame, held_out: pd.DataFrame) -> str:
    """Calibrate, log to MLflow in a run of its own, and return the logged model's address, `models:/...`.

    `model` is a scikit-learn classifier, fitted on `training`; the payments of `held_out` came later. Both tables have
    a row for each payment and the columns `FEATURES` and `fraud` (bool), in any order. MLflow is set up already.
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
