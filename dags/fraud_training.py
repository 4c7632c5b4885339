"""The data scientist's line: from features to a champion."""

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
        "Fit the baseline and the candidate, calibrate, choose the thresholds that cost least.",
    ),
    "evaluate": (
        "--run-id {{ ti.xcom_pull(task_ids='train')['run_id'] }}",
        "Measure on the test window, draw the curves, attach the bundle, register the version.",
    ),
    "promote": (
        "--run-id {{ ti.xcom_pull(task_ids='train')['run_id'] }}",
        "Move the alias `champion`, if the gate lets the new version through.",
    ),
}


def training_day(name: str, params: dict[str, Any], triggering_asset_events: Any) -> str:
    """The first or last day to train on: of the newest event that started this run, else as the run's conf says."""
    events = [event for some in triggering_asset_events.values() for event in some]
    day = events[-1].extra.get(name) if events else params[name]
    if not day:
        raise ValueError(f"no day {name!r}: start this DAG by the Asset fraud_features, or give 'from' and 'to'")
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
        "from": Param(None, type=["null", "string"], format="date", description="first day, when started by hand"),
        "to": Param(None, type=["null", "string"], format="date", description="last day, when started by hand"),
    },
    doc_md="""### Features in, a champion out

Started by the Asset `fraud_features`, whose event carries the days; or by hand with `from` and `to`. Trains, evaluates
and registers a version in MLflow; the alias `champion`, which the scorer follows, moves only through the gate.
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
            # The command's last line is its result.
            output_processor=json.loads,
            doc_md=purpose,
        )
        if previous is not None:
            previous >> operator
        previous = operator
