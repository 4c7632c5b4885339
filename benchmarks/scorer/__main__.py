"""`make bench`: benchmark the scorer, comparable servers, a bare and a no-op endpoint in turns, on the demo's data."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from contextlib import ExitStack
from typing import Any, Final

import psutil
from rich.console import Console

from benchmarks.scorer.contenders import ALL_AT_ONCE, CONTENDERS, SCORE, Contender, Running, start_contenders
from benchmarks.scorer.load_generator import PYTHON, Load, LoadError, generator, measure
from benchmarks.scorer.options import CLIENTS, Options, read_options
from benchmarks.scorer.report import Measured, report, show
from demo.command import run_command
from demo.demo_copy import copy_of_demo
from demo.embedded_servers import ROOT, ServerError
from demo.http_servers import start_mlflow
from demo.run import start_stores, wait_until
from demo.secret_files import read_secret
from demo.step_runner import StepFailed, Steps

BENCH: Final = ROOT / "var/bench"
MOST_CORES: Final = 2
"""The cores of a small instance; more would only let what the scorer starts elsewhere run for nothing."""


def main() -> int:
    """The command; returns its exit code."""
    console = Console(highlight=False, soft_wrap=True)

    def work(stack: ExitStack) -> int:
        results = bench(read_options(), Steps(console), stack)
        (BENCH / "results.json").write_text(json.dumps(results, indent=2) + "\n")
        show(results, console)
        console.print(f"Also written to {BENCH / 'results.json'}.")
        return 0

    return run_command(console, work, on_the_demo=True)


def bench(options: Options, steps: Steps, stack: ExitStack) -> dict[str, Any]:
    """Run the benchmark on a copy of the demo's data. Raises `StepFailed` or `ServerError`."""
    installation = copy_of_demo(BENCH / "installation")
    with steps.step("start PostgreSQL, Valkey and MLflow"):
        start_stores(installation, stack)
        mlflow = start_mlflow(installation)
        stack.callback(mlflow.stop)
        wait_until(f"{installation.mlflow_url}/health", mlflow)
    prepared = steps.command("prepare", installation, "benchmarks.scorer.prepare", "--out", str(BENCH / "asked"))
    with steps.step("start the contenders"):
        running = start_contenders(installation, BENCH / "asked", stack.callback)
        for one in running.values():
            wait_until(one.ready, one.server)
    cores = share_cores()
    key = read_secret(installation.secrets, "scorer_api_key")
    measured: list[Measured] = []
    sent: dict[str, int] = {}
    plan = [(clients, turn, one) for clients in CLIENTS for turn in range(options.rounds) for one in CONTENDERS]
    plan += [(1, turn, ALL_AT_ONCE) for turn in range(options.rounds)]
    for clients, turn, contender in plan:
        with steps.step(f"{contender.name}, {clients} at once, round {turn + 1}"):
            found = ask(contender, running[contender.server], clients, sent.get(contender.name, 0), options, key)
        sent[contender.name] = sent.get(contender.name, 0) + found.pop("sent")
        measured.append(Measured(contender.name, clients, turn, **found))
        for name, available in ((SCORE, prepared["payments"]), (ALL_AT_ONCE.name, prepared["batches"])):
            if sent.get(name, 0) > available:
                # A repeated payment returns its stored response, which costs almost nothing.
                raise ServerError(f"{name} used more than the {available:,} prepared request bodies: lower ROUNDS")
    pinned = {"servers": cores, "load and stores": cores}
    return report(measured, options.model_dump(), pinned, generator())


def share_cores() -> list[int]:
    """Pin everything that runs, and what starts later, to the same two cores; returns them, none if unsupported.

    A scorer that moves work into Valkey, PostgreSQL or a thread must not get it for nothing.
    """
    if not hasattr(os, "sched_setaffinity"):
        return []
    cores = sorted(os.sched_getaffinity(0))[-MOST_CORES:]
    for process in psutil.Process().children(recursive=True):
        # PostgreSQL's background processes may end at any time.
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            pin(process, cores)
    os.sched_setaffinity(0, cores)
    return cores


def pin(process: psutil.Process, cores: list[int]) -> None:
    """Pin every thread of a process to `cores`."""
    for thread in process.threads():
        os.sched_setaffinity(thread.id, cores)


def ask(contender: Contender, running: Running, clients: int, skip: int, options: Options, key: str) -> dict[str, Any]:
    """One run of the load generator. Raises `StepFailed` if an answer is not 200."""
    load = Load(running.url + contender.path, BENCH / "asked" / contender.bodies, skip, clients, options.seconds_each)
    try:
        # wrk does not wait for a response that takes longer than its run, as that to a batch may.
        found = measure(load, key, PYTHON if contender is ALL_AT_ONCE else generator())
    except LoadError as error:
        raise StepFailed(f"load on {contender.name}", running.server.log, str(error)) from error
    if found["failed"] or not found["requests"]:
        raise StepFailed(f"load on {contender.name}: {found}", running.server.log, "")
    return found


if __name__ == "__main__":
    sys.exit(main())
