"""What `make bench-features` runs on each lake: our job, our kernel alone, and other engines."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from demo.installation import python_of


@dataclass(frozen=True)
class Contender:
    """A command, given as a module or script with its options; it leaves features to compare in `<out>/features`."""

    name: str
    environment: str
    module: str
    options: tuple[str, ...] = ()

    def command(self, lake: Path, out: Path) -> list[str]:
        """The command for the payments in `lake`."""
        python = str(python_of(self.environment))
        return [python, "-m", self.module, "--lake", str(lake), "--out", str(out), *self.options]


JOB: Final = "build_features (Spark)"
DUCKDB: Final = "DuckDB, 15 features"
DUCKDB_WINDOWS: Final = "DuckDB, all that windows can say"
OTHERS: Final = (
    Contender("kernel alone, one thread", "pipeline", "benchmarks.features.in_one_process"),
    Contender("Polars, 15 features", "engines", "benchmarks.features.in_polars"),
    Contender(DUCKDB, "engines", "benchmarks.features.in_duckdb"),
    Contender(DUCKDB_WINDOWS, "engines", "benchmarks.features.in_duckdb", ("--windows",)),
)


def cores() -> int:
    """How many cores this process may use; every contender inherits them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def job_command(first: str, last: str) -> list[str]:
    """The feature job for these days, with a JVM of its own."""
    submit = str(python_of("pipeline").with_name("spark-submit"))
    options = ["spark_jobs/build_features.py", "--from", first, "--to", last]
    return [submit, "--master", f"local[{cores()}]", *options]
