"""The data engineer's line: from the bank's landing tables to features and the scorer's memory."""

from __future__ import annotations

from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import DAG, Param, task
from airflow.sdk.exceptions import AirflowSkipException
from shared import FEATURES, PROJECT, check_days, defaults

JOBS = {
    "ingest": "Read exactly these days from the bank's landing tables into the raw lake, as they came.",
    "validate": "Set apart what breaks the contract, each row with its reason. Rows in = good + quarantined.",
    "build_features": "Point-in-time features of every payment, by the kernel of `contracts/features.py`.",
    "write_online_state": "Merge each customer's and terminal's recent history into Valkey, where the scorer reads it.",
}

with DAG(
    dag_id="fraud_daily",
    # Days are an argument: nothing here asks the machine what day it is.
    schedule=None,
    catchup=False,
    max_active_runs=1,
    tags=["data-engineer"],
    default_args=defaults("data-engineer"),
    params={
        "from": Param(type="string", format="date", description="first day, UTC"),
        "to": Param(type="string", format="date", description="last day, UTC, included"),
        "train": Param(True, type="boolean", description="hand the features over to training"),
    },
    doc_md="""### Transactions in, features out

Takes a range of days and runs each Spark job once over the whole of it. Any run may be repeated: jobs replace whole
days and change nothing the second time. The last task emits the Asset `fraud_features` with the days, which starts
`fraud_training`; with `train` false (a live day) it is skipped.
""",
) as dag:
    previous: Any = None
    for job, purpose in JOBS.items():
        operator = SparkSubmitOperator(
            task_id=job,
            application=str(PROJECT / "spark_jobs" / f"{job}.py"),
            name=f"{job} {{{{ params['from'] }}}}..{{{{ params['to'] }}}}",
            application_args=["--from", "{{ params['from'] }}", "--to", "{{ params['to'] }}"],
            pre_execute=check_days,
            doc_md=purpose,
        )
        if previous is not None:
            previous >> operator
        previous = operator

    @task(outlets=[FEATURES], doc_md="Emit the Asset with the days, unless this run is not for training.")
    def hand_over(params: dict[str, Any], outlet_events: Any) -> None:
        """Tell the data scientist's line which days have features now."""
        if not params["train"]:
            raise AirflowSkipException("'train' is false: these days are not handed over to training")
        outlet_events[FEATURES].extra = {name: params[name] for name in ("from", "to", "train")}

    previous >> hand_over()  # type: ignore[call-arg, misc]  # Airflow passes both
