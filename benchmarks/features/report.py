"""The results of `make bench-features` as JSON and as tables."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.features.contenders import DUCKDB, DUCKDB_WINDOWS, JOB


def report(runs: Sequence[dict[str, Any]], options: dict[str, Any], cores: int) -> dict[str, Any]:
    """All figures of all runs, with the ratios that have targets (docs/benchmarks.md)."""
    machine = {"cores": cores, "python": platform.python_version()}
    return {"machine": machine, "options": options, "runs": [{**run, **_ratios(run)} for run in runs]} | _growth(runs)


def _ratios(run: dict[str, Any]) -> dict[str, Any]:
    """The job's time as a multiple of DuckDB's."""
    seconds = {one["name"]: one["seconds"] for one in run["measured"] if not one["code"]}
    named = {"job_to_duckdb_15": DUCKDB, "job_to_duckdb_windows": DUCKDB_WINDOWS}
    return {key: round(seconds[JOB] / seconds[name], 2) for key, name in named.items() if name in seconds}


def _growth(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How the job's peak memory and its time for each payment grow from one run to the next."""
    steps = pairwise(runs)
    growth = [
        {
            "rows": [before["rows"], after["rows"]],
            "peak_mb": [_job(before)["peak_mb"], _job(after)["peak_mb"]],
            "seconds_a_payment": round(
                _job(after)["seconds"] / after["rows"] * before["rows"] / _job(before)["seconds"], 2
            ),
        }
        for before, after in steps
    ]
    return {"growth": growth}


def _job(run: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in run["measured"] if one["name"] == JOB)
    return found


def show(results: dict[str, Any], console: Console) -> None:
    """Print the results as a table for each number of payments."""
    for run in results["runs"]:
        table = Table(title=f"{run['rows']:,} payments, {results['machine']['cores']} cores", title_justify="left")
        for name in ("", "features", "seconds", "CPU s", "µs/payment", "peak MiB", "stages"):
            table.add_column(name, justify="right" if name not in ("", "stages") else "left", no_wrap=name != "stages")
        for one in run["measured"]:
            table.add_row(*_cells(one, run["rows"]))
        console.print(table)
    console.print(
        "Seconds are those of the whole process; stages are those within it. Memory is that of all processes."
    )


def _cells(one: dict[str, Any], rows: int) -> list[str]:
    if one["code"]:
        return [one["name"], "", "failed", "", "", str(one["peak_mb"]), ""]
    stages = ", ".join(f"{name} {value}" for name, value in one["stages"].items() if isinstance(value, float))
    a_payment = f"{1e6 * one['seconds'] / rows:.2f}"
    return [
        one["name"],
        str(one["features"]),
        str(one["seconds"]),
        str(one["cpu_seconds"]),
        a_payment,
        str(one["peak_mb"]),
        stages,
    ]
