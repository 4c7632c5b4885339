"""The data engineer's DAG: from the bank's landing tables to features and the scorer's online state."""

from __future__ import annotations

import os
from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, Param, task
from airflow.sdk.exceptions import AirflowSkipException
from shared import FEATURES, PROJECT, check_days, defaults
from spark_job import IngestOperator

JOBS = {
    "ingest": "Copy these days, unmodified, from the bank's landing tables to the raw layer of the lake.",
    "validate": "Quarantine rows that break the contract, each with its reason. Rows in = valid + quarantined.",
    "build_features": "Compute the point-in-time features of every payment with the kernel of `contracts/kernel.py`.",
    "write_online_state": "Merge each customer's and terminal's recent history into Valkey, where the scorer reads it.",
}

with DAG(
    dag_id="fraud_daily",
    # The days are parameters: nothing here depends on the wall clock.
    schedule=None,
    catchup=False,
    max_active_runs=1,
    tags=["data-engineer"],
    default_args=defaults("data-engineer"),
    params={
        "from": Param(type="string", format="date", description="first day, UTC"),
        "to": Param(type="string", format="date", description="last day, UTC, included"),
        "train": Param(True, type="boolean", description="start fraud_training afterwards"),
    },
    doc_md="""### Transactions in, features out

Runs each Spark job once over a range of days. Runs are idempotent: jobs replace whole days, so a repeated run changes
nothing. `hand_over` emits the Asset `fraud_features` with the days, which starts `fraud_training`; with `train`
false (a live day) it is skipped.

`ingest` also finds days with rows that landed after they were ingested. `run_again` starts another run for those and
the days that depend on them; if there are none, it is skipped.
""",
) as dag:
    jobs: dict[str, Any] = {}
    for job, purpose in JOBS.items():
        operator = (IngestOperator if job == "ingest" else SparkSubmitOperator)(
            task_id=job,
            application=str(PROJECT / "spark_jobs" / f"{job}.py"),
            name=f"{job} {{{{ params['from'] }}}}..{{{{ params['to'] }}}}",
            application_args=["--from", "{{ params['from'] }}", "--to", "{{ params['to'] }}"],
            # The jobs of a run share one Spark application, which the first of them starts.
            spark_binary=str(PROJECT / "spark_jobs" / "submit.py"),
            # In containers, how to authenticate at the cluster.
            properties_file=os.environ.get("SPARK_PROPERTIES_FILE"),
            pre_execute=check_days,
            doc_md=purpose,
        )
        if jobs:
            list(jobs.values())[-1] >> operator
        jobs[job] = operator

    @task(outlets=[FEATURES], doc_md="Emit the Asset with the days, unless `train` is false.")
    def hand_over(params: dict[str, Any], outlet_events: Any) -> None:
        """Emit the Asset that starts `fraud_training`, with the days as its extra; skipped where `train` is false."""
        if not params["train"]:
            raise AirflowSkipException("'train' is false: fraud_training is not started for these days")
        outlet_events[FEATURES].extra = {name: params[name] for name in ("from", "to", "train")}

    # Mapped over what ingest returns: without late rows the scheduler skips it, and no task is started. The run waits
    # until this one has ended.
    run_again = TriggerDagRunOperator.partial(
        task_id="run_again",
        trigger_dag_id=dag.dag_id,
        logical_date=None,
        doc_md="Start a run for the days with rows that landed late, and for those that depend on them.",
    ).expand(conf=jobs["ingest"].output)

    jobs["write_online_state"] >> [hand_over(), run_again]  # type: ignore[call-arg, misc]  # Airflow passes both
