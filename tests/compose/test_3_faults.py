"""During live payments: restarts of stores and scorer, a day through Airflow, `down` and `up`."""

from __future__ import annotations

import json
import re
import time
from datetime import timedelta
from typing import Any

import httpx
import pytest

from demo.airflow_api import Airflow
from tests.compose.stack import Stack, wait_until
from tests.compose.test_2_start import OWN, payment

BROKEN = re.compile(
    "|".join(
        (
            r"^(error|serving): ",
            r"\b(ERROR|CRITICAL|FATAL|PANIC)\b",
            r"\[(error|critical) *\]",
            r'"level": "(error|critical)"',
            r"Traceback \(most recent|Exception in thread",
        )
    )
)
KNOWN = (
    # Airflow records each command in a table, which its first migration has yet to create.
    ("postgres", 'relation "log" does not exist'),
    # MLflow creates a registered model before each version, and ignores that it exists (containers/mlflow_users.py).
    ("postgres", 'duplicate key value violates unique constraint "registered_model_pk"'),
)


def decided(stack: Stack) -> int:
    return int(stack.sql("decisions", "select count(*) from serving.decisions"))


def unexpected(stack: Stack) -> list[str]:
    """Log lines with errors, except while a test had broken something."""
    return [
        f"{service} {at:%H:%M:%S} {text[:300]}"
        for service, at, text in stack.logs()
        if BROKEN.search(text)
        and not any(service == known and words in text for known, words in KNOWN)
        and not any(began <= at <= ended + timedelta(seconds=5) for began, ended in stack.disturbed)
    ]


def test_nothing_went_wrong_at_the_start(stack: Stack) -> None:
    assert unexpected(stack) == []


@pytest.mark.parametrize("service", ["scorer", "valkey", "postgres"])
def test_a_restart_is_survived(stack: Stack, service: str) -> None:
    before = decided(stack)
    with stack.disturbance(settled_seconds=6):
        stack.compose("restart", service)
    wait_until("payments are decided again", lambda: decided(stack) > before + stack.rate)
    assert stack.unwell() == {}


@pytest.mark.parametrize(("stopped", "sick"), [("valkey", {"scorer"}), ("postgres", {"mlflow", "airflow-api-server"})])
def test_an_outage_is_reported_by_health_checks(stack: Stack, stopped: str, sick: set[str]) -> None:
    """And services recover. Without PostgreSQL decisions wait; without Valkey payments are scored degraded."""
    with stack.disturbance():
        stack.compose("stop", stopped)
        try:
            wait_until(f"{sick} are unhealthy", lambda: sick <= stack.sick())
            answer = stack.scorer("POST", "/v1/score", json=payment(10 + len(stopped)))
        finally:
            stack.compose("start", stopped)
        assert answer.status_code == 200
        assert answer.json()["degraded"] == (stopped == "valkey")


def test_every_payment_was_decided_once(stack: Stack) -> None:
    """By the bank's records, the decision log, and the scorer's count of applied payments."""
    stack.compose("stop", "replay")
    wait_until("every decision is in the log", lambda: stack.valkey("XLEN", "decisions") == "0")
    days = stack.live_days()
    counts = "select count(*), count(distinct transaction_id) from"
    sent = stack.sql("bank", f"{counts} bank.transactions where day >= '{days[0]}'")
    query = f"{counts} serving.decisions where transaction_id < 1e15"
    assert stack.sql("decisions", query) == sent
    assert int(sent.split("|")[0]) > 100
    applied = stack.sql("decisions", "select count(*), count(distinct applied), max(applied) from serving.decisions")
    rows, numbers, highest = map(int, applied.split("|"))
    # After a fault numbers are skipped; none is used twice.
    assert rows == numbers == decided(stack)
    assert highest <= int(stack.valkey("GET", "state:applied"))
    (replay,) = stack.containers()["replay"]
    assert (replay["RestartCount"], replay["State"]["ExitCode"]) == (0, 0)


@pytest.fixture(scope="module")
def live_run(stack: Stack) -> dict[str, Any]:
    """The live days through the data engineer's DAG, driven as anybody may; no payment comes meanwhile.

    In the middle of its first task everything in the scheduler's container is killed, the task with it.
    """
    days = stack.live_days()
    conf = {"from": str(days[0]), "to": str(days[-1]), "train": False}
    found = stack.credentials
    airflow = Airflow(found["AIRFLOW_URL"], found["AIRFLOW_USER"], found["AIRFLOW_PASSWORD"])
    began: list[str] = []

    def kill(task: str) -> None:
        if not began:
            stack.sh("airflow-scheduler", "kill -9 -1", check=False)
        began.append(task)

    with stack.disturbance():
        run = airflow.start("fraud_daily", conf)
        done = {task.task: task.state for task in airflow.follow("fraud_daily", run, kill)}
    state = airflow.runs("fraud_daily")[run]
    airflow.close()
    return {"conf": conf, "tasks": done, "state": state, "began": began}


def test_a_day_runs_through_airflow_s_api_despite_a_kill(live_run: dict[str, Any]) -> None:
    assert live_run["began"][0] == "ingest"
    assert live_run["state"] == "success"
    jobs = ("ingest", "validate", "build_features", "write_online_state")
    assert live_run["tasks"] == dict.fromkeys(jobs, "success") | {"hand_over": "skipped", "run_again": "skipped"}


def test_the_live_features_equal_the_lake_s(stack: Stack, live_run: dict[str, Any]) -> None:
    days = ["--from", live_run["conf"]["from"], "--to", live_run["conf"]["to"]]
    compared = stack.spark_line("spark_jobs.compare_decisions", *days)
    sent = int(stack.sql("bank", f"select count(*) from bank.transactions where day >= '{days[1]}'"))
    degraded = compared["degraded"]
    # Only the payments scored while Valkey was down.
    assert 0 < degraded < sent
    whole = {"compared": sent - degraded, "mismatches": 0, "missing": 0, "touched_by_late": 0, "repeated_ids": 0}
    assert compared == whole | {"degraded": degraded}


def test_everything_survives_down_and_up(stack: Stack) -> None:
    """Bank, models, lake and online store stay, nothing is retrained, and the live replay resumes. With two workers."""
    first = stack.scorer("POST", "/v1/score", json=payment(3)).raise_for_status().json()
    rows, version, log = stack.sql("bank", "select count(*) from bank.transactions"), stack.champion(), decided(stack)
    # `down` deletes the logs with the containers.
    assert unexpected(stack) == []
    stack.keep_logs(stack.kept / "logs")
    lake = stack.sh("airflow-scheduler", "find $LAKE_URI -name part.parquet | sort | xargs cksum")
    with stack.disturbance():
        stack.compose("down")
        start = time.monotonic()
        stack.compose("up", "--detach", "--wait", "--scale", "spark-worker=2")
        stack.measured["second_up_wait_seconds"] = round(time.monotonic() - start, 1)
        (stack.kept / "results.json").write_text(json.dumps(stack.measured, indent=2) + "\n")
    assert int(stack.sql("bank", "select count(*) from bank.transactions")) >= int(rows)
    assert stack.champion() == version
    assert stack.sh("airflow-scheduler", "find $LAKE_URI -name part.parquet | sort | xargs cksum") == lake
    assert stack.scorer("POST", "/v1/score", json=payment(3)).raise_for_status().json() == first
    assert stack.scorer("POST", "/v1/score", json=payment(3, amount=1)).status_code == 409
    wait_until("live payments continue", lambda: decided(stack) > log + stack.rate)
    assert stack.sql("decisions", f"select count(*) from serving.decisions where transaction_id = {OWN + 3}") == "1"
    cluster = httpx.get(f"http://127.0.0.1:{stack.ports['SPARK']}/json/", timeout=30, trust_env=False).json()
    assert [worker["state"] for worker in cluster["workers"]] == ["ALIVE", "ALIVE"]


def test_two_workers_share_a_day_s_work(stack: Stack) -> None:
    submit = "spark-submit --master spark://spark-master:7077 --properties-file $SPARK_PROPERTIES_FILE"
    job = f"{submit} spark_jobs/validate.py --from 2025-01-01 --to 2025-04-30"
    stack.sh("airflow-scheduler", job)
    cluster = httpx.get(f"http://127.0.0.1:{stack.ports['SPARK']}/json/", timeout=30, trust_env=False).json()
    (app,) = cluster["completedapps"]
    assert app["state"] == "FINISHED"
    # A folder for each executor; both workers keep them in one volume.
    assert stack.sh("spark-worker", f"ls $SPARK_WORKER_DIR/{app['id']}").split() == ["0", "1"]


def test_logs_have_no_errors_besides_the_injected_faults(stack: Stack) -> None:
    assert stack.unwell() == {}
    assert unexpected(stack) == []
