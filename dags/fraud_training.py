"""The data scientist's DAG: from features to a champion."""

from __future__ import annotations

from datetime import date
from typing import Any

from airflow.sdk import DAG, Param
from pipeline_command import PipelineCommandOperator
from shared import FEATURES, defaults

RUN_ID = "{{ ti.xcom_pull(task_ids='train')['run_id'] }}"
COMMANDS = {
    "train": (
        [
            "--from",
            "{{ training_day('from', params, triggering_asset_events) }}",
            "--to",
            "{{ training_day('to', params, triggering_asset_events) }}",
        ],
        "Fit the baseline and the candidate, calibrate, choose the thresholds with the lowest cost.",
    ),
    "evaluate": (
        ["--run-id", RUN_ID],
        "Compute the metrics on the test window, plot the curves, attach the bundle, register the version.",
    ),
    "promote": (
        ["--run-id", RUN_ID],
        "Move the alias `champion` if the new version passes the gate.",
    ),
}


def training_day(name: str, params: dict[str, Any], triggering_asset_events: Any) -> str:
    """The first or last day to train on, from the newest triggering event or else the run's conf; `name` is from or to.

    Raises ValueError if neither gives it, or if it is not a day: users who can trigger this DAG choose the text.
    """
    events = [event for some in triggering_asset_events.values() for event in some]
    day = (events[-1].extra or {}).get(name) if events else params[name]
    if not day:
        raise ValueError(
            f"parameter {name!r} is not set: set both 'from' and 'to' (YYYY-MM-DD), or let the Asset fraud_features "
            "trigger this DAG"
        )
    try:
        return date.fromisoformat(day).isoformat()
    except (TypeError, ValueError):
        raise ValueError(f"parameter {name!r} is {day!r}, which is not a date: write YYYY-MM-DD") from None


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
    for verb, (arguments, purpose) in COMMANDS.items():
        operator = PipelineCommandOperator(task_id=verb, module=f"modeling.{verb}", arguments=arguments, doc_md=purpose)
        if previous is not None:
            previous >> operator
        previous = operator
