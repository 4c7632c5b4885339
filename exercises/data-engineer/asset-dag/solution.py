"""Two DAGs linked by an Asset: one builds features, the other trains a model when they are ready."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, Asset, task

RAN: list[str] = []
"""The functions called so far."""


def compute_features() -> None:
    """The work of the task `build_features`; here it only records the call."""
    RAN.append("compute_features")


def say_done() -> None:
    """The work of the task `hand_over`."""
    RAN.append("say_done")


def fit_model() -> None:
    """The work of the task `train`."""
    RAN.append("fit_model")


# --- your work: begin
FEATURES = Asset(name="fraud_features", uri="fraud://lake/features")
DEFAULTS = {"retries": 2}
START = datetime(2025, 1, 1, tzinfo=UTC)

with DAG("exercise_features", schedule="0 3 * * *", start_date=START, catchup=False, default_args=DEFAULTS):

    @task
    def build_features() -> None:
        """Compute them."""
        compute_features()

    @task(outlets=[FEATURES])
    def hand_over() -> None:
        """Finish the day."""
        say_done()

    build_features() >> hand_over()

with DAG("exercise_training", schedule=[FEATURES], catchup=False, default_args=DEFAULTS):
    task(fit_model, task_id="train")()
# --- your work: end
