"""Required attributes of every DAG, and how the two are connected."""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

OWNERS = {"fraud_daily": "data-engineer", "fraud_training": "data-scientist"}
ORDER = {
    "fraud_daily": ["ingest", "validate", "build_features", "write_online_state", "hand_over"],
    "fraud_training": ["train", "evaluate", "promote"],
}
JOBS = ORDER["fraud_daily"][:-1]


@pytest.mark.parametrize("name", OWNERS)
def test_a_dag_states_its_owner_and_purpose(dags: dict[str, Any], name: str) -> None:
    dag = dags[name]
    assert dag.tags == {OWNERS[name]}
    assert len(dag.doc_md) > 100
    assert not dag.catchup
    assert dag.max_active_runs == 1


@pytest.mark.parametrize("name", OWNERS)
def test_each_task_has_owner_retries_timeout_and_purpose(dags: dict[str, Any], name: str) -> None:
    for task in dags[name].tasks:
        assert task.owner == OWNERS[name]
        assert task.retries == 2
        assert task.execution_timeout <= timedelta(hours=1)
        assert task.doc_md, task.task_id


@pytest.mark.parametrize("name", ORDER)
def test_tasks_run_one_after_another(dags: dict[str, Any], name: str) -> None:
    tasks = {task.task_id: task for task in dags[name].tasks if task.task_id != "run_again"}
    assert set(tasks) == set(ORDER[name])
    for before, after in zip(ORDER[name], ORDER[name][1:], strict=False):
        assert tasks[before].downstream_task_ids - {"run_again"} == {after}


def test_days_with_late_rows_run_again_once_all_jobs_are_done(dags: dict[str, Any]) -> None:
    again = dags["fraud_daily"].get_task("run_again")
    assert again.is_mapped
    assert again.upstream_task_ids == {"ingest", "write_online_state"}
    assert again.downstream_task_ids == set()
    assert again.partial_kwargs["trigger_dag_id"] == "fraud_daily"


LAST = '{"job": "ingest", "rows_in": 3, "days_to_rerun": %s, "seconds": 0.1}'


@pytest.mark.parametrize(
    ("days", "runs"),
    [
        ([], []),
        (["2025-01-05"], [{"from": "2025-01-05", "to": "2025-01-05", "train": False}]),
        (["2025-01-05", "2025-01-06", "2025-01-09"], [{"from": "2025-01-05", "to": "2025-01-09", "train": False}]),
    ],
)
def test_ingest_s_result_is_the_run_for_the_days_that_it_names(
    dags: dict[str, Any], monkeypatch: pytest.MonkeyPatch, days: list[str], runs: list[dict[str, Any]]
) -> None:
    """The job is a script that ends like ingest; the operator is the DAG's own."""
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", '{"conn_type": "spark", "host": "local[2]"}')
    lines = ["ingest: copying", '{"not": "the last"}', LAST % json.dumps(days), ""]
    monkeypatch.setattr(
        "airflow.providers.apache.spark.hooks.spark_submit.SparkSubmitHook._build_spark_submit_command",
        lambda *_: [sys.executable, "-c", f"print({chr(10).join(lines)!r})"],
    )
    ingest = dags["fraud_daily"].get_task("ingest")
    assert type(ingest).__name__ == "IngestOperator"
    monkeypatch.setattr(ingest, "_hook", None)
    assert ingest.execute({}) == runs
    for conf in runs:
        _resolve(dags["fraud_daily"], conf)


@pytest.mark.parametrize("lines", [[], ["ended early"], ['{"job": "ingest"}'], ["{broken"]])
def test_an_ingest_without_a_result_fails(lines: list[str]) -> None:
    from airflow.sdk.exceptions import AirflowException
    from spark_job import runs_again

    with pytest.raises(AirflowException, match="does not end with its result"):
        runs_again(lines)


def test_a_range_of_days_is_one_run_of_each_job(dags: dict[str, Any]) -> None:
    for task in dags["fraud_daily"].tasks[: len(JOBS)]:
        assert task.application.endswith(f"spark_jobs/{task.task_id}.py")
        assert task.application_args == ["--from", "{{ params['from'] }}", "--to", "{{ params['to'] }}"]


def test_a_run_s_jobs_are_submitted_to_one_application(dags: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", '{"conn_type": "spark", "host": "local[2]"}')
    commands = []
    for task in dags["fraud_daily"].tasks[: len(JOBS)]:
        *options, name, title, script = task._get_hook()._build_spark_submit_command(task.application)[:-4]
        assert (name, script) == ("--name", task.application)
        assert title.startswith(task.task_id)
        commands.append(options)
    assert os.access(commands[0][0], os.X_OK)
    assert commands == [[commands[0][0], "--master", "local[2]"]] * 4
    assert commands[0][0].endswith("spark_jobs/submit.py")


def test_the_asset_connects_the_dags(dags: dict[str, Any]) -> None:
    outlets = {task.task_id: [asset.name for asset in task.outlets] for task in dags["fraud_daily"].tasks}
    assert outlets == {job: [] for job in [*JOBS, "run_again"]} | {"hand_over": ["fraud_features"]}
    assert "fraud_features" in str(dags["fraud_training"].timetable.asset_condition)


def test_the_asset_carries_the_days_unless_the_run_is_not_for_training(dags: dict[str, Any]) -> None:
    from airflow.sdk.exceptions import AirflowSkipException
    from shared import FEATURES

    hand_over = dags["fraud_daily"].get_task("hand_over").python_callable
    event = SimpleNamespace(extra=None)
    params = {"from": "2025-01-01", "to": "2025-01-31", "train": True}
    hand_over(params=params, outlet_events={FEATURES: event})
    assert event.extra == params
    with pytest.raises(AirflowSkipException, match="train"):
        hand_over(params=params | {"train": False}, outlet_events={FEATURES: event})


@pytest.mark.parametrize("params", [{"from": "2025-1-1"}, {"from": "yesterday"}, {"to": None}, {"train": "maybe"}])
def test_invalid_days_are_rejected(dags: dict[str, Any], params: dict[str, Any]) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    given = {"from": "2025-01-01", "to": "2025-01-31", "train": True} | params
    with pytest.raises(ParamValidationError):
        _resolve(dags["fraud_daily"], given)


def _resolve(dag: Any, given: dict[str, Any]) -> None:
    for name, value in given.items():
        dag.params.get_param(name).resolve(value)


def test_reversed_days_fail_at_once() -> None:
    from airflow.sdk.exceptions import AirflowFailException
    from shared import check_days

    check_days({"params": {"from": "2025-01-01", "to": "2025-01-01"}})
    with pytest.raises(AirflowFailException, match="comes before"):
        check_days({"params": {"from": "2025-01-02", "to": "2025-01-01"}})


def test_training_takes_its_days_from_the_newest_event_or_from_its_conf() -> None:
    from fraud_training import training_day

    events = {"asset": [SimpleNamespace(extra={"from": "2025-01-01"}), SimpleNamespace(extra={"from": "2025-02-01"})]}
    assert training_day("from", {"from": None}, events) == "2025-02-01"
    assert training_day("from", {"from": "2025-03-01"}, {}) == "2025-03-01"
    with pytest.raises(ValueError, match="parameter 'from' is not set: set both"):
        training_day("from", {"from": None}, {})


@pytest.mark.parametrize("day", ["2025-01-01; touch x #", "$(touch x)", "yesterday", 20250101, {"day": 1}])
def test_a_day_of_an_event_that_is_no_day_reaches_no_command(day: Any) -> None:
    from fraud_training import training_day

    with pytest.raises(ValueError, match="which is not a date: write YYYY-MM-DD"):
        training_day("from", {}, {"asset": [SimpleNamespace(extra={"from": day})]})


def test_training_runs_its_commands_without_a_shell(dags: dict[str, Any]) -> None:
    for task in dags["fraud_training"].tasks:
        assert type(task).__name__ == "PipelineCommandOperator"
        assert task.module == f"modeling.{task.task_id}"
        assert task.arguments[0] in ("--from", "--run-id")


def test_an_argument_reaches_the_command_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline_command import PipelineCommandOperator

    monkeypatch.setenv("PIPELINE_PYTHON", sys.executable)
    monkeypatch.setattr("pipeline_command.PROJECT", tmp_path)
    (tmp_path / "echo.py").write_text("import json, sys\nprint('hello')\nprint(json.dumps(sys.argv[1:]))\n")
    hostile = ["--from", f"2025-01-01; touch {tmp_path}/touched #", f"$(touch {tmp_path}/touched)", "it's", ""]
    task = PipelineCommandOperator(task_id="echo", module="echo", arguments=hostile)
    assert task.execute({}) == hostile
    assert not (tmp_path / "touched").exists()


def test_a_command_that_fails_fails_the_task_with_its_last_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk.exceptions import AirflowException
    from pipeline_command import PipelineCommandOperator

    monkeypatch.setenv("PIPELINE_PYTHON", sys.executable)
    monkeypatch.setattr("pipeline_command.PROJECT", tmp_path)
    (tmp_path / "fail.py").write_text("import sys\nsys.exit('error: no features')\n")
    with pytest.raises(AirflowException, match="fail ended with exit code 1: error: no features"):
        PipelineCommandOperator(task_id="fail", module="fail", arguments=[]).execute({})
