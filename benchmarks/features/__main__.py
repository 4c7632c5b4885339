"""`make bench-features`: compare the feature job with other engines, on the same payments and cores."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from benchmarks.features.contenders import JOB, OTHERS, cores, job_command
from benchmarks.features.measure import Measured, measure
from benchmarks.features.options import Options, read_options
from benchmarks.features.report import report, show
from demo.command import run_command
from demo.embedded_servers import ROOT, tail
from demo.installation import Installation, python_of
from demo.step_runner import StepFailed, Steps

BENCH: Final = ROOT / "var/bench"
FEATURES: Final = 32


def main() -> int:
    """The command; returns its exit code."""
    console = Console(highlight=False, soft_wrap=True)

    def work(_: ExitStack) -> int:
        options = read_options()
        runs = [bench(options, rows, Steps(console), BENCH / "features") for rows in options.rows]
        results = report(runs, options.model_dump(mode="json"), cores())
        (BENCH / "features.json").write_text(json.dumps(results, indent=2) + "\n")
        show(results, console)
        console.print(f"Also written to {BENCH / 'features.json'}.")
        return 0

    return run_command(console, work)


def bench(options: Options, rows: int, steps: Steps, folder: Path) -> dict[str, Any]:
    """Measure every contender on about this many payments, one after another; nothing of it is kept in `folder`.

    Raises `StepFailed` if the payments cannot be made, the job fails or a contender's features are not ours.
    """
    shutil.rmtree(folder, ignore_errors=True)
    installation = Installation(folder, 0, 0, 0, 0)
    installation.make_folders()
    lake = folder / "lake"
    data = ["--data", str(options.data.absolute())] if options.data else []
    prepare = ["benchmarks.features.prepare", "--rows", str(rows), "--lake", str(lake), *data]
    prepared = steps.command(f"prepare {rows:,} payments", installation, *prepare)
    environment = installation.environment()
    measured = [_job(prepared, environment, steps, installation)]
    for contender in OTHERS:
        out = folder / "out"
        out.mkdir()
        log = _log(installation, contender.name)
        found = _measured(contender.name, contender.command(lake, out), environment, log, steps)
        if not found["code"]:
            compare = [str(python_of("pipeline")), "-m", "benchmarks.features.compare"]
            found |= _compared([*compare, "--lake", str(lake), "--theirs", str(out)], contender.name, environment, log)
        measured.append(found)
        shutil.rmtree(out)
    shutil.rmtree(folder)
    return {**prepared, "measured": measured}


def _job(
    prepared: Mapping[str, Any], environment: Mapping[str, str], steps: Steps, installation: Installation
) -> dict[str, Any]:
    log = _log(installation, "job")
    found = _measured(JOB, job_command(prepared["first"], prepared["last"]), environment, log, steps)
    if found["code"]:
        raise StepFailed(JOB, log, tail(log))
    return found | {"features": FEATURES}


def _measured(
    name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, steps: Steps
) -> dict[str, Any]:
    with steps.step(name):
        found: Measured = measure(command, environment, log)
    stages = {} if found.code else _last_json(log)
    failed = {"failed": tail(log)} if found.code else {}
    return {"name": name, **asdict(found), "stages": stages, **failed}


def _compared(command: Sequence[str], name: str, environment: Mapping[str, str], log: Path) -> dict[str, Any]:
    """How its features differ from ours. Raises `StepFailed` if they do, except where it cannot know the order."""
    if measure(command, environment, log).code:
        raise StepFailed(f"comparison with {name}", log, tail(log))
    found = _last_json(log)
    if found["different"]:
        raise StepFailed(
            f"comparison with {name}: {found['different']:,} of {found['values']:,} values differ", log, ""
        )
    return {"features": found.pop("features"), "compared": found}


def _last_json(log: Path) -> dict[str, Any]:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("{")]
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def _log(installation: Installation, name: str) -> Path:
    return installation.logs / f"{''.join(c if c.isalnum() else '-' for c in name)}.log"


if __name__ == "__main__":
    sys.exit(main())
