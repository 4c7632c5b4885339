"""Run the whole pipeline locally: bank, Spark under Airflow, training, scorer, one day of live payments."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from demo.airflow_api import Airflow, DagFailed
from demo.embedded_servers import Server, ServerError, claim_port, start_postgres, start_valkey, tail
from demo.http_servers import answers, log_of_task, start_airflow, start_mlflow, start_scorer, task_log_tail
from demo.installation import DEMO, Installation
from demo.options import Options
from demo.processes import MemoryWatch
from demo.secret_files import read_secret, write_secrets
from demo.server_watch import ServerWatch
from demo.step_runner import StepFailed, Steps
from demo.summary import Summary

TIMEOUT_SECONDS = 120
CHAMPION = ("champion", "mlflow", "secrets")
"""What stays of the last demo where data without labels is scored with its champion."""


def create_installation(options: Options) -> Installation:
    """A clean folder with new secrets; the last demo's data is deleted only once all ports are known to be free.

    For data without labels the last demo's champion stays, with the secrets it needs. Raises `ServerError` without one.
    """
    # Data without labels is scored by the last demo's champion, so its zone counts.
    zone = options.bank_zone if options.labelled else zone_of_champion(DEMO)
    installation = Installation(
        folder=DEMO,
        postgres_port=claim_port(options.postgres_port, "POSTGRES_PORT"),
        valkey_port=claim_port(options.valkey_port, "VALKEY_PORT"),
        mlflow_port=claim_port(options.mlflow_port, "MLFLOW_PORT"),
        airflow_port=claim_port(options.airflow_port, "AIRFLOW_PORT"),
        scorer_port=claim_port(options.scorer_port, "SCORER_PORT"),
        bank_zone=zone,
    )
    remove_last_demo(DEMO, () if options.labelled else CHAMPION)
    installation.make_folders()
    write_secrets(installation.secrets)
    return installation


def remove_last_demo(folder: Path, kept: Sequence[str]) -> None:
    """Delete the last demo's folder, or all in it but the folders named `kept`."""
    if not kept:
        shutil.rmtree(folder, ignore_errors=True)
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir() and path.name not in kept:
            shutil.rmtree(path, ignore_errors=True)
        elif not path.is_dir():
            path.unlink()


def require_champion(folder: Path) -> None:
    """Raise `ServerError` if the last demo left no champion that could score data without labels."""
    if not (folder / "champion/current.json").is_file() or not (folder / "mlflow").is_dir():
        raise ServerError(
            "the map has no fraud column, so no model can be trained, and there is no champion from an earlier demo: "
            "run `make demo` with labelled data first, or map fraud"
        )


def zone_of_champion(folder: Path) -> str:
    """The bank's zone that the last demo's champion was trained for. Raises `ServerError` without a champion."""
    require_champion(folder)
    version = json.loads((folder / "champion/current.json").read_text())["number"]
    bundle = json.loads((folder / f"champion/version-{version}/bundle/bundle.json").read_text())
    return str(bundle.get("bank_zone", {}).get("name", "UTC"))


def start_stores(installation: Installation, stack: ExitStack) -> list[Server]:
    """Start PostgreSQL and Valkey; `stack` stops them."""
    folder, logs = installation.folder, installation.logs
    password = read_secret(installation.secrets, "bank_admin_password")
    postgres = start_postgres(folder / "postgres", password, logs / "postgres.log", installation.postgres_port)
    stack.callback(postgres.stop)
    password = read_secret(installation.secrets, "valkey_password")
    valkey = start_valkey(folder / "valkey", password, logs / "valkey.log", installation.valkey_port)
    stack.callback(valkey.stop)
    return [postgres, valkey]


def run_pipeline(options: Options, steps: Steps, watch: MemoryWatch, stack: ExitStack) -> Summary:
    """Run every step in order; `stack` stops what was started.

    Raises `StepFailed`, even if a server ends before the last step, or `ServerError`.
    """
    installation = create_installation(options)
    with ServerWatch() as servers:
        return _run_steps(options, installation, steps, watch, servers, stack)


def _run_steps(
    options: Options,
    installation: Installation,
    steps: Steps,
    watch: MemoryWatch,
    servers: ServerWatch,
    stack: ExitStack,
) -> Summary:
    began = time.monotonic()
    waiting = stack.enter_context(ThreadPoolExecutor(max_workers=2))
    # Airflow starts in the background while the bank is loaded, MLflow while Spark works: training needs it first.
    airflow_servers = waiting.submit(start_airflow, installation)
    stack.callback(_stop_all, airflow_servers)
    with steps.step("start PostgreSQL and Valkey"):
        servers.add(*start_stores(installation, stack))
    steps.command("migrate the bank", installation, "bank.migrate")
    loaded = steps.command("load the bank", installation, "bank.load", *options.feed, "--hold-out-days", "1")
    first, last, live = loaded["first_day"], loaded["last_day"], loaded["held_out"][0]
    if left_out := said_of_rows(loaded):
        steps.console.print(f"  {left_out}")
    with steps.step("start Airflow"):
        airflow = _open_airflow(installation, airflow_servers, servers)
        stack.callback(airflow.close)
    mlflow = start_mlflow(installation)
    stack.callback(mlflow.stop)
    servers.add(mlflow)
    history = {"from": first, "to": last, "train": options.labelled}
    run_dag(steps, installation, airflow, "fraud_daily", "history", history)
    wait_until(f"{installation.mlflow_url}/health", mlflow)
    scorer = start_scorer(installation)
    stack.callback(scorer.stop)
    servers.add(scorer)
    if options.labelled:
        with asking_airflow("training", installation):
            training = airflow.newest_run("fraud_training")
        follow(steps, installation, airflow, "fraud_training", training, "training")
    else:
        steps.console.print(
            "training skipped: the map has no fraud column, so the previous demo's champion scores the payments"
        )
    with steps.step("start the scorer"):
        wait_until(f"{installation.scorer_url}/readyz", scorer)
    played = steps.command("live payments", installation, "bank.replay", *options.feed, "--day", live, "--clients", "4")
    run_dag(steps, installation, airflow, "fraud_daily", "live day", {"from": live, "to": live, "train": False})
    compared = steps.command(
        "compare with Spark", installation, "spark_jobs.compare_decisions", "--from", live, "--to", live
    )
    counted = steps.command("count the lake", installation, "spark_jobs.count_lake", "--from", first, "--to", live)
    return Summary(
        transactions_loaded=counted["raw"],
        quarantined=counted["quarantine"],
        feature_rows=counted["features"],
        **model_facts(installation),
        live_scored=played["scored"],
        live_mismatches=compared["mismatches"] + compared["missing"],
        repeated_ids=compared["repeated_ids"],
        decisions=played["decisions"],
        latency_ms=played["latency_ms"],
        steps=steps.done,
        peak_memory_mb=round(watch.peak_mb, 1),
        frauds=played["frauds"],
        frauds_caught=played["frauds_caught"],
        seconds=time.monotonic() - began,
    )


def said_of_rows(loaded: dict[str, Any]) -> str:
    """One line on the rows of a mapped file that are not payments; empty if all rows are."""
    refused, refunds = sum(loaded.get("refused", {}).values()), loaded.get("refunds", 0)
    if not refused and not refunds:
        return ""
    reasons = ", ".join(f"{reason} ({number:,})" for reason, number in loaded["refused"].items())
    return f"of {loaded['rows_in']:,} rows, {refunds:,} are refunds and {refused:,} were rejected" + (
        f": {reasons}" if reasons else ""
    )


def model_facts(installation: Installation) -> dict[str, Any]:
    """The version and test metric of the scorer's model, from `/v1/model`."""
    key = read_secret(installation.secrets, "scorer_api_key")
    address = f"{installation.scorer_url}/v1/model"
    model = httpx.get(address, headers={"X-API-Key": key}, timeout=10, trust_env=False).raise_for_status().json()
    return {"model_version": model["version"], "test_average_precision": model["metrics"]["test_average_precision"]}


def run_dag(
    steps: Steps, installation: Installation, airflow: Airflow, dag: str, title: str, conf: dict[str, Any]
) -> None:
    """Start a DAG run and follow it to its end, and then those that it started itself. Raises `StepFailed`."""
    with asking_airflow(title, installation):
        run = airflow.start(dag, conf)
    follow(steps, installation, airflow, dag, run, title)
    while True:
        with asking_airflow(title, installation):
            again = [run for run, state in airflow.runs(dag).items() if state in ("queued", "running")]
        if not again:
            return
        follow(steps, installation, airflow, dag, again[-1], f"{title}, late rows")


@contextmanager
def asking_airflow(title: str, installation: Installation) -> Iterator[None]:
    """Turn a failed or unanswered request to Airflow into `StepFailed`, with the api-server's log."""
    try:
        yield
    except (httpx.HTTPError, TimeoutError) as error:
        log = installation.logs / "airflow-api-server.log"
        raise StepFailed(f"{title}: asking Airflow ({error or repr(error)})", log, tail(log)) from error


def follow(steps: Steps, installation: Installation, airflow: Airflow, dag: str, run: str, title: str) -> None:
    """Print each task of a run as it finishes. Raises `StepFailed` with the failed task's log."""
    try:
        with asking_airflow(title, installation), steps.console.status(f"{title} …") as status:
            for task in airflow.follow(dag, run, lambda name: status.update(f"{title}: {name} …")):
                steps.record(f"{title}: {task.task}", task.seconds, "" if task.state == "success" else task.state)
    except DagFailed as failed:
        log = log_of_task(installation, dag, run, failed.task)
        raise StepFailed(f"{title}: {failed.task}", log, task_log_tail(log)) from failed


def wait_until(url: str, server: Server) -> None:
    """Wait until `url` answers 200. Raises `StepFailed` if the server exits or takes more than 120 seconds."""

    def ready() -> bool:
        if server.process.poll() is not None:
            raise StepFailed(f"start {server.name}", server.log, tail(server.log))
        return answers(url)

    retrying = Retrying(
        retry=retry_if_result(lambda up: not up), wait=wait_fixed(0.2), stop=stop_after_delay(TIMEOUT_SECONDS)
    )
    try:
        retrying(ready)
    except StepFailed:
        raise
    except Exception as error:
        raise StepFailed(f"start {server.name}", server.log, tail(server.log)) from error


def _open_airflow(installation: Installation, started: Future[list[Server]], servers: ServerWatch) -> Airflow:
    try:
        airflow_servers = started.result()
    except ServerError as error:
        raise StepFailed("start Airflow", installation.logs / "airflow-migrate.log", str(error)) from error
    servers.add(*airflow_servers)
    wait_until(f"{installation.airflow_url}/api/v2/monitor/health", airflow_servers[0])
    with asking_airflow("start Airflow", installation):
        airflow = Airflow(installation.airflow_url, "admin", read_secret(installation.secrets, "airflow_password"))
        for dag in ("fraud_daily", "fraud_training"):
            airflow.wait_for_dag(dag)
    return airflow


def _stop_all(servers: Future[list[Server]]) -> None:
    if servers.exception() is None:
        for server in servers.result():
            server.process.terminate()
        for server in servers.result():
            server.stop()
