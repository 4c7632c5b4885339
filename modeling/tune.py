"""Tune the hyperparameters on the folds before the test window: `python -m modeling.tune --from --to --trials`.

Optuna maximises the mean average precision over the prequential folds. Each trial is an MLflow run, nested in the
search's run. A search over the same days resumes after an interruption.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from contracts.days import DayRange
from contracts.features import FEATURES_VERSION
from modeling.data.folds import Folds, add_optional_days, constraints_of, days_to_choose_on, read_folds
from modeling.models.search_space import CURRENT_CHOICES, fit, suggest
from modeling.runner import run
from modeling.settings import Settings, read_settings
from modeling.tracking.mlflow_client import registry

if TYPE_CHECKING:
    from optuna import Study, Trial

EXPERIMENT: Final = "fraud-search"
STUDIES: Final = Path("var/tune/studies.db")
PARENT: Final = "mlflow_run_id"
TRIALS: Final = 40
SEED: Final = 0


def tune(days: DayRange, trials: int, settings: Settings, studies: Path = STUDIES) -> dict[str, Any]:
    """Search until the study has `trials` finished trials; returns the best choices and their average precision."""
    folds = read_folds(settings, days)
    study = open_study(folds, days, studies)
    left, constraints = trials - _finished(study), constraints_of(folds)
    with registry(settings, EXPERIMENT):
        import mlflow

        with mlflow.start_run(run_id=_parent(study), run_name=study.study_name) as parent:
            study.set_user_attr(PARENT, parent.info.run_id)
            if left > 0:
                study.optimize(lambda trial: _try(trial, folds, constraints), n_trials=left, show_progress_bar=True)
            mlflow.set_tag("best", json.dumps({"average_precision": study.best_value} | study.best_params))
    return {"average_precision": study.best_value, "trials": _finished(study), "choices": study.best_params}


def open_study(folds: Folds, days: DayRange, studies: Path) -> Study:
    """Create the study for these payments and features, or load it if it exists."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    studies.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{studies}",
        study_name=f"features-{FEATURES_VERSION}-{days.first}-{days.last}-{folds.fingerprint[:8]}",
        load_if_exists=True,
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5),
    )
    # Another seed for the remaining trials: the same seed would propose the same choices again.
    study.sampler = optuna.samplers.TPESampler(seed=SEED + len(study.trials))
    if not _finished(study):
        study.enqueue_trial(CURRENT_CHOICES)
    return study


def _parent(study: Study) -> str | None:
    """The search's run, if the tracking server still has it."""
    import mlflow

    run_id: str | None = study.user_attrs.get(PARENT)
    try:
        return run_id and mlflow.get_run(run_id).info.run_id
    except mlflow.MlflowException:
        return None


def _try(trial: Trial, folds: Folds, constraints: Sequence[int]) -> float:
    """The mean average precision of one set of choices; pruned early if its first folds are poor."""
    import mlflow
    import optuna

    chosen = suggest(trial)
    with mlflow.start_run(nested=True, run_name=f"trial {trial.number}"):
        mlflow.log_params(chosen)
        found: list[float] = []
        areas: list[float] = []
        for start in folds.starts:
            precision, area = measure(chosen, folds, start, constraints)
            found.append(precision)
            areas.append(area)
            mlflow.log_metric("fold_average_precision", precision, step=len(found))
            mlflow.log_metric("fold_roc_auc", area, step=len(found))
            trial.report(float(np.mean(found)), len(found))
            if trial.should_prune():
                mlflow.set_tag("pruned", "true")
                break
        else:
            mlflow.log_metric("average_precision", math.fsum(found) / len(found))
            mlflow.log_metric("roc_auc", math.fsum(areas) / len(areas))
            trial.set_user_attr("roc_auc", math.fsum(areas) / len(areas))
    if len(found) < len(folds.starts):
        raise optuna.TrialPruned
    return math.fsum(found) / len(found)


def measure(chosen: dict[str, Any], folds: Folds, start: int, constraints: Sequence[int]) -> tuple[float, float]:
    """The average precision (the objective) and the AUC ROC of these choices on one fold."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    test = folds.tests[start]
    model = fit(chosen, folds.training(start, chosen["history_days"]), constraints)
    scores = model.predict_proba(test.features)[:, 1]
    return float(average_precision_score(test.frauds, scores)), float(roc_auc_score(test.frauds, scores))


def _finished(study: Study) -> int:
    """The number of completed and pruned trials, without interrupted ones."""
    from optuna.trial import TrialState

    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m modeling.tune", description=__doc__)
    add_optional_days(parser)
    parser.add_argument("--trials", type=int, default=TRIALS, help="the number of finished trials to reach, at least 1")
    given, settings = parser.parse_args(), read_settings()
    if given.trials < 1:
        parser.error(f"--trials is {given.trials}: give at least 1")
    print(json.dumps(tune(days_to_choose_on(parser, given, settings.lake), given.trials, settings)))


if __name__ == "__main__":
    run(main)
