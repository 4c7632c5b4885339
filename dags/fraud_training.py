"""The data scientist's DAG: from features to a champion."""

from __future__ import annotations

import json
from typing import Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param
from shared import FEATURES, PROJECT, defaults, pipeline_python

COMMANDS = {
    "train": (
        "--from {{ training_day('from', params, triggering_asset_events) }}"
        " --to {{ training_day('to', params, triggering_asset_events) }}",
        "Fit the baseline and the candidate, calibrate, choose the thresholds with the lowest cost.",
    ),
    "evaluate": (
        "--run-id {{ ti.xcom_pull(task_ids='train')['run_id'] }}",
        "Compute the metrics on the test window, plot the curves, attach the bundle, register the version.",
    ),
    "promote": (
        "--run-id {{ ti.xcom_pull(task_ids='train')['run_id'] }}",
        "Move the alias `champion` if the new version passes the gate.",
    ),
}


def training_day(name: str, params: dict[str, Any], triggering_asset_events: Any) -> str:
    """The first or last day to train on, from the newest triggering event or else the run's conf; `name` is from or to.

    Raises ValueError if neither gives it.
    """
    events = [event for some in triggering_asset_events.values() for event in some]
    day = events[-1].extra.get(name) if events else params[name]
    if not day:
        raise ValueError(
            f"parameter {name!r} is not set: set both 'from' and 'to' (YYYY-MM-DD), or let the Asset fraud_features "
            "trigger this DAG"
        )
    return str(day)


with DAG(
    dag_id="fraud_training",
    schedule=[FEATURES],
    catchup=False,
    max_active_runs=1,
    tags=["data-scientist"],
    default_args=defaults("data-scientist"),
    user_defined_macros={"training_day": training_day},
    params={
        "from": Param(None, type=["null", "string"], format="date", description="first day, for a manual run"),
        "to": Param(None, type=["null", "string"], format="date", description="last day, for a manual run"),
    },
    doc_md="""### Features in, a champion out

Triggered by the Asset `fraud_features`, whose event carries the days, or manually with `from` and `to`. Trains,
evaluates and registers a version in MLflow; the alias `champion`, which the scorer follows, moves only to a version
that passes the gate.
""",
) as dag:
    previous: Any = None
    for verb, (options, purpose) in COMMANDS.items():
        operator = BashOperator(
            task_id=verb,
            bash_command=f"'{pipeline_python()}' -m modeling.{verb} {options}",
            cwd=str(PROJECT),
            append_env=True,
            env={"PYTHONPATH": str(PROJECT)},
            # The command prints its result as JSON on its last line.
            output_processor=json.loads,
            doc_md=purpose,
        )
        if previous is not None:
            previous >> operator
        previous = operator
