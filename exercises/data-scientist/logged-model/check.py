"""Checks `log_calibrated`: loads the logged model from a temporary store, and uses it as a user would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
import pytest

from contracts.bundle import Calibration, probability
from exercises.expect import Description, UnavailableError, expect
from modeling.models.boosting import fit_boosted_trees
from modeling.models.estimators import fit_calibration
from modeling.tracking.mlflow_client import DEFAULTS

FEATURES = ["terminal_fraud_rate_7d", "amount", "customer_tx_count_7d", "is_night"]
CALL = "log_calibrated(model, training, held_out)"
OVERFITTED = {
    "learning_rate": 0.3,
    "max_iter": 50,
    "max_leaf_nodes": 31,
    "min_samples_leaf": 3,
    "early_stopping": False,
    "random_state": 0,
}
"""Trees that overfit their training payments, so that their scores need calibration."""
TOLERANCE = 0.02
"""scikit-learn's way to fit a Platt pair leans a little to the middle; the pipeline's does not."""
CANNOT_BE_LOADED = "It cannot be loaded and run as a pyfunc: set `pyfunc_predict_fn` to the method to call."

refuse = partial(expect, same=lambda *_: False)


@dataclass(frozen=True)
class Case:
    """A model, its training payments, held out ones, and later ones to try it on."""

    model: Any
    training: pd.DataFrame
    held_out: pd.DataFrame
    later: pd.DataFrame

    def margins(self, table: pd.DataFrame) -> np.ndarray:
        """The model's raw log-odds."""
        return self.model.decision_function(table[FEATURES].to_numpy())


@cache
def case() -> Case:
    """Payments whose frauds depend on three features and are mostly chance."""
    rng = np.random.default_rng(1)
    training, held_out, later = (_payments(rng, count) for count in (1_500, 3_000, 1_000))
    frauds = training["fraud"].to_numpy()
    model = fit_boosted_trees(training[FEATURES].to_numpy(), frauds, OVERFITTED, [0] * len(FEATURES))
    return Case(model, training, held_out, later)


def _payments(rng: np.random.Generator, count: int) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "amount": np.round(rng.gamma(2, 30, count), 2),
            "customer_tx_count_7d": rng.poisson(8, count).astype(float),
            "fraud": False,
            "is_night": (rng.random(count) < 0.2).astype(float),
            "terminal_fraud_rate_7d": np.round(rng.beta(0.3, 4, count), 3),
        }
    )
    odds = -4 + table["amount"] / 40 + 4 * table["terminal_fraud_rate_7d"] + 0.5 * table["is_night"]
    return table.assign(fraud=rng.random(count) < 1 / (1 + np.exp(-odds)))


@pytest.fixture(scope="session", autouse=True)
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    """MLflow on a database and a folder that go away again; nothing asks a server. Called, it sets MLflow to them."""
    folder = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (DEFAULTS | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}).items():
            patch.setenv(name, value)
        # What is logged to an experiment of another name stays here as well.
        patch.chdir(folder)
        try:
            import mlflow

            uri = f"sqlite:///{folder / 'mlflow.db'}"
            mlflow.set_tracking_uri(uri)
            experiment = mlflow.create_experiment("check", (folder / "artifacts").as_uri())
        except Exception as error:
            raise UnavailableError(
                f"MLflow does not start on {folder} ({error}): free disk space, then check again"
            ) from error

        def set_up() -> str:
            mlflow.set_tracking_uri(uri)
            mlflow.set_experiment(experiment_id=experiment)
            return uri

        yield set_up


@pytest.fixture(scope="module")
def logged(answer, store) -> Callable[[], str]:
    """The address of what an answer logs; logged once."""

    @cache
    def log() -> str:
        import mlflow

        given, uri, running = case(), store(), False
        try:
            actual = answer.log_calibrated(deepcopy(given.model), given.training.copy(), given.held_out.copy())
        finally:
            while mlflow.active_run():
                running = True
                mlflow.end_run()
        if running:
            why = "A run is still active when your function returns, and would receive later logs: use `with`."
            refuse(f"{CALL}, then mlflow.active_run()", Description("a run"), None, why)
        if mlflow.get_tracking_uri() != uri:
            why = "You changed MLflow's store. It is already configured: models logged elsewhere cannot be found."
            refuse(f"{CALL}, then mlflow.get_tracking_uri()", mlflow.get_tracking_uri(), uri, why)
        return _address(actual)

    return log


def _address(actual: Any) -> str:
    address = getattr(actual, "model_uri", actual)
    if not isinstance(address, str) or ":/" not in address:
        refuse(
            CALL, actual, Description("an address like models:/m-..."), "Return the `model_uri` of log_model's result."
        )
    return str(address)


def test_it_is_there(logged):
    if _info(logged()).run_id is None:
        why = "It was logged without a run. A run records the model's origin: open one with `mlflow.start_run`."
        refuse("the logged model's run", None, Description("a run"), why)


def test_signature(logged):
    signature = _info(logged()).signature
    if signature is None or signature.inputs is None or not signature.inputs.has_input_names():
        refuse(
            "the logged model's signature",
            signature,
            Description(f"inputs {', '.join(FEATURES)}"),
            "There is no signature with column names. It tells users which columns the model takes, and lets MLflow "
            "reject others: pass `signature`, from infer_signature of a table and its predictions.",
        )
    names = signature.inputs.input_names()
    expect(
        "the names of the columns in the logged model's signature",
        names,
        FEATURES,
        "The signature must list the model's inputs: exactly FEATURES.",
        mistakes=[
            (
                lambda actual: sorted(actual) == sorted(FEATURES),
                "The columns are not in the order of FEATURES. The model identifies columns by position, so the wrong "
                "order goes unnoticed. Select the columns with FEATURES everywhere.",
            )
        ],
    )


def test_input_example(logged):
    import mlflow

    example = _info(logged()).saved_input_example_info
    if example is None:
        why = "There is no input example. It shows how to call the model, and MLflow tests it when logging."
        refuse("the logged model's input example", None, Description("a few rows with the columns FEATURES"), why)
    try:
        rows = mlflow.pyfunc.load_model(logged()).input_example
    except Exception as error:
        refuse(
            f"mlflow.pyfunc.load_model({logged()!r})",
            Description(f"{type(error).__name__}: {error}"[:300]),
            Description("a model"),
            CANNOT_BE_LOADED,
        )
    if not isinstance(rows, pd.DataFrame) or list(rows.columns) != FEATURES:
        why = "The input example must be a few rows with the columns FEATURES, in that order."
        refuse("the logged model's input example", rows, Description("a few rows with the columns FEATURES"), why)
    if len(rows) > 100:
        why = (
            "An example is a few rows, not all payments: they would be stored with every version, readable by all "
            "users."
        )
        refuse("rows of the input example", len(rows), Description("a few"), why)


def test_format(logged):
    flavours = _info(logged()).flavors
    expect(
        "how the logged model is written",
        flavours.get("sklearn", {}).get("serialization_format"),
        "skops",
        "Log it with mlflow.sklearn, in the format skops.",
        mistakes=[
            (
                lambda actual: actual in ("pickle", "cloudpickle"),
                "A pickle can run any code when it is loaded. Use skops, which loads only trusted types.",
            )
        ],
    )


def test_agrees_with_production(logged):
    _judge(logged(), case())


def _judge(address: str, given: Case) -> None:
    """Hold the loaded model's answers to the pipeline's own calibration on the held out payments."""
    import mlflow

    call = f"the loaded model's answers for {len(given.later):,} later payments"
    wanted = _scores(given, fit_calibration(given.margins(given.held_out), given.held_out["fraud"].to_numpy()))
    try:
        # In another order of columns: the signature puts them right.
        actual = np.asarray(mlflow.pyfunc.load_model(address).predict(given.later[sorted(FEATURES, reverse=True)]))
        actual = actual.astype(float)
    except Exception as error:
        refuse(call, Description(f"{type(error).__name__}: {error}"[:300]), _told(wanted, given), CANNOT_BE_LOADED)
    if actual.ndim == 2 and actual.shape[1] == 2:
        actual = actual[:, 1]
    if actual.shape != wanted.shape or not np.isfinite(actual).all():
        why = "It does not return a probability per payment: set `pyfunc_predict_fn` to the method to call."
        refuse(
            call,
            Description(f"an array of shape {actual.shape}"),
            Description(f"an array of shape {wanted.shape} or (n, 2)"),
            why,
        )

    def near(other: np.ndarray) -> bool:
        return bool(np.abs(actual - other).max() <= 2 * TOLERANCE)

    misread = given.model.decision_function(given.later[sorted(FEATURES)].to_numpy())
    on_training = _platt(given, given.training[FEATURES], given.training["fraud"])
    by_place = _platt(given, given.held_out.drop(columns="fraud"), given.held_out["fraud"])
    raw = given.model.predict_proba(given.later[FEATURES].to_numpy())[:, 1]
    mistakes = [
        (
            bool(np.isin(actual, [0, 1]).all()),
            "It returns classes, not probabilities: pyfunc calls `predict` unless `pyfunc_predict_fn` says otherwise.",
        ),
        (near(raw), "You logged the uncalibrated model. Log the calibrated one."),
        (
            near(on_training),
            "You calibrated on the training payments. The model has memorised them, so its scores there are "
            "overconfident: calibrate on payments that it has not seen.",
        ),
        (
            near(1 - wanted),
            "That is the probability of a genuine payment. The second column is that of a fraud.",
        ),
        (
            near(by_place)
            or bool(np.corrcoef(actual, misread)[0, 1] > np.corrcoef(actual, given.margins(given.later))[0, 1]),
            "Somewhere, maybe in the calibration, the columns are not in the order of FEATURES. The model identifies "
            "them by position: select the columns with FEATURES everywhere.",
        ),
        (
            not _reordered(given.margins(given.later), actual) and len(np.unique(actual)) < len(actual) / 4,
            "This is a step function: many payments share a score. That is isotonic calibration, which needs far more "
            "frauds. Platt's method is `sigmoid`.",
        ),
        (
            _reordered(given.margins(given.later), actual),
            "The calibrated scores rank payments differently from the model. Platt's method never changes the ranking: "
            "do not fit the model again (use FrozenEstimator), and use the method `sigmoid`.",
        ),
    ]
    expect(
        call,
        _told(actual, given),
        _told(wanted, given),
        "Fit Platt's curve (method `sigmoid`) to the model's scores of all held out payments, and log the result.",
        mistakes=[(lambda _, hit=hit: hit, says) for hit, says in mistakes],
        same=lambda *_: bool(np.abs(actual - wanted).max() <= TOLERANCE),
    )


def _platt(given: Case, table: pd.DataFrame, frauds: pd.Series) -> np.ndarray:
    """The scores that come of calibrating on some payments, as scikit-learn does it."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator

    calibrated = CalibratedClassifierCV(FrozenEstimator(given.model), method="sigmoid").fit(table.to_numpy(), frauds)
    return calibrated.predict_proba(given.later[FEATURES].to_numpy())[:, 1]


def _reordered(margins: np.ndarray, actual: np.ndarray) -> bool:
    ranked = actual[np.argsort(margins)]
    return bool((np.diff(ranked) < -1e-9).any())


def _scores(given: Case, calibration: Calibration) -> np.ndarray:
    return probability(given.margins(given.later), calibration)


def _told(scores: np.ndarray, given: Case) -> Description:
    first = ", ".join(f"{score:.3f}" for score in scores[:4])
    return Description(
        f"{first}, ...; {scores.mean():.3f} on average, where {given.later['fraud'].mean():.3f} are frauds"
    )


def _info(address: str) -> Any:
    """What MLflow knows of a logged model. Says so where there is none."""
    import mlflow

    try:
        return mlflow.models.get_model_info(address)
    except Exception as error:
        why = "There is no model at this address. Log to MLflow as configured, and return the `model_uri` of log_model."
        return refuse(f"what is at {address}", Description(str(error)[:300]), Description("a logged model"), why)
