"""Check answers to exercises: runs pytest in a separate process, in the environment of the exercise."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from demo.environment import own_environment
from exercises.catalog import EXERCISES, Exercise
from exercises.expect import UnavailableError
from exercises.live_pipeline import running_pipeline
from exercises.outcome import NEVER_ENDS, Outcome, Result
from exercises.stub import is_untouched

ROOT: Final = EXERCISES.parent
DEMO: Final = ROOT / "var/demo/summary.json"
SECONDS_FOR_A_TEST: Final = 60
SECONDS_FOR_A_CAPSTONE_TEST: Final = 900


def check(exercise: Exercise) -> Result:
    """Check the learner's file. A file that is still the stub is not run."""
    if not exercise.answer.exists():
        return Result(
            Outcome.NOT_STARTED, f"{exercise.answer.relative_to(ROOT)} does not exist: `make reset` restores it"
        )
    if is_untouched(exercise.answer.read_text(), exercise.solution.read_text()):
        return Result(Outcome.NOT_STARTED)
    return run_checks(exercise, [exercise.answer])[exercise.answer]


def run_checks(exercise: Exercise, answers: Sequence[Path]) -> dict[Path, Result]:
    """The result of each file as an answer to one exercise."""
    return run_together({exercise: answers})


def run_together(answers: Mapping[Exercise, Sequence[Path]]) -> dict[Path, Result]:
    """The result of each file, for exercises that share an environment and are all capstones or all not.

    They run in one process: Spark, or the servers of a capstone, start once.
    """
    one = next(iter(answers))
    python = ROOT / "var/env" / one.environment / "bin/python"
    paths = [path for some in answers.values() for path in some]
    missing = _missing(one, python)
    if missing:
        return dict.fromkeys(paths, Result(Outcome.UNAVAILABLE, missing))
    with tempfile.TemporaryDirectory(prefix="check-") as name:
        folder = Path(name)
        if not one.capstone:
            return _run(answers, python, SECONDS_FOR_A_TEST, folder, own_environment())
        try:
            with running_pipeline(folder / "pipeline") as environment:
                return _run(answers, python, SECONDS_FOR_A_CAPSTONE_TEST, folder, environment)
        except UnavailableError as error:
            return dict.fromkeys(paths, Result(Outcome.UNAVAILABLE, str(error)))


def _run(
    answers: Mapping[Exercise, Sequence[Path]],
    python: Path,
    seconds: int,
    folder: Path,
    environment: Mapping[str, str],
) -> dict[Path, Result]:
    results, log, plan = folder / "results.json", folder / "log", folder / "plan.json"
    plan.write_text(json.dumps({str(one.check): [str(path) for path in some] for one, some in answers.items()}))
    paths = [path for some in answers.values() for path in some]
    command = [str(python), "-m", "pytest", "-q", "-p", "exercises.plugin", "--plan", str(plan)]
    command += ["--results", str(results), "--timeout", str(seconds), "--basetemp", str(folder / "base")]
    command += [str(one.check) for one in answers]
    # One thread for each library that would take all cores for a few rows.
    own = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        with log.open("wb") as out:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env={**environment, **own},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                timeout=5 * seconds * len(paths),
                check=False,
            )
    except subprocess.TimeoutExpired:
        # It ignores even the signal that ends a test.
        return dict.fromkeys(paths, Result(Outcome.ERROR, NEVER_ENDS))
    if results.exists() and done.returncode in (0, 1):
        found = json.loads(results.read_text())
        return {path: Result.of(found[str(path)]) for path in paths}
    return dict.fromkeys(paths, _without_results(done.returncode, log))


def _missing(exercise: Exercise, python: Path) -> str:
    """What is missing for the check of an exercise; empty if nothing is."""
    if not python.exists() or not (python.parent / "pytest").exists():
        return f"the environment {exercise.environment} is not installed: run `make exercises`"
    if exercise.capstone and not DEMO.exists():
        return "it needs the demo's data: run `make demo` first"
    return ""


def _without_results(code: int, log: Path) -> Result:
    """The result when the check's process ended abnormally."""
    last = "\n".join(log.read_text(errors="replace").strip().split("\n")[-15:])
    if code in (2, 3, 4, 5):
        # pytest's own codes: interrupted, internal error, wrong usage, no tests.
        return Result(Outcome.UNAVAILABLE, f"the check could not run: check again; its log ends:\n{last}")
    return Result(Outcome.ERROR, f"it ended the Python process with exit code {code}: do not call os._exit()")
