"""Check answers to an exercise: pytest, in a process of its own, in the environment that the exercise is of."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from exercises.expect import UnavailableError
from exercises.line import live_line
from exercises.manifest import EXERCISES, Exercise
from exercises.outcome import NEVER_ENDS, Outcome, Result
from exercises.stub import is_untouched

ROOT: Final = EXERCISES.parent
DEMO: Final = ROOT / "var/demo/summary.json"
SECONDS_FOR_A_TEST: Final = 60
SECONDS_FOR_A_LIVE_TEST: Final = 900


def check(exercise: Exercise) -> Result:
    """What a learner's file comes to. One that is as it was at first is not run."""
    if not exercise.answer.exists():
        return Result(Outcome.NOT_STARTED, f"there is no {exercise.answer.relative_to(ROOT)}: make reset makes it anew")
    if is_untouched(exercise.answer.read_text(), exercise.solution.read_text()):
        return Result(Outcome.NOT_STARTED)
    return run_checks(exercise, [exercise.answer])[exercise.answer]


def run_checks(exercise: Exercise, answers: Sequence[Path]) -> dict[Path, Result]:
    """What each of these files comes to as an answer to an exercise."""
    python = ROOT / "var/env" / exercise.environment / "bin/python"
    missing = _missing(exercise, python)
    if missing:
        return dict.fromkeys(answers, Result(Outcome.UNAVAILABLE, missing))
    with tempfile.TemporaryDirectory(prefix="check-") as name:
        folder = Path(name)
        if not exercise.live:
            return _run(exercise, python, answers, folder, dict(os.environ))
        try:
            with live_line(folder / "line") as environment:
                return _run(exercise, python, answers, folder, environment)
        except UnavailableError as error:
            return dict.fromkeys(answers, Result(Outcome.UNAVAILABLE, str(error)))


def _run(
    exercise: Exercise, python: Path, answers: Sequence[Path], folder: Path, environment: dict[str, str]
) -> dict[Path, Result]:
    results, log = folder / "results.json", folder / "log"
    seconds = SECONDS_FOR_A_LIVE_TEST if exercise.live else SECONDS_FOR_A_TEST
    command = [str(python), "-m", "pytest", "-q", "-p", "exercises.plugin", "--results", str(results)]
    command += ["--timeout", str(seconds), "--basetemp", str(folder / "base"), str(exercise.check)]
    command += [part for path in answers for part in ("--answer", str(path))]
    # One thread for each library that would take all cores for a few rows.
    own = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        with log.open("wb") as out:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env=environment | own,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                timeout=5 * seconds * len(answers),
                check=False,
            )
    except subprocess.TimeoutExpired:
        # It does not even heed the signal that ends a test.
        return dict.fromkeys(answers, Result(Outcome.ERROR, NEVER_ENDS))
    if results.exists() and done.returncode in (0, 1):
        found = json.loads(results.read_text())
        return {path: Result.of(found[str(path)]) for path in answers}
    return dict.fromkeys(answers, _without_results(done.returncode, log))


def _missing(exercise: Exercise, python: Path) -> str:
    """What the check of an exercise needs and does not find; empty where it finds all."""
    if not python.exists() or not (python.parent / "pytest").exists():
        return f"the environment {exercise.environment} is not installed: run `make exercises`"
    if exercise.live and not DEMO.exists():
        return "it works on what the demo leaves: run `make demo` first"
    return ""


def _without_results(code: int, log: Path) -> Result:
    """The check's process ended otherwise than by itself."""
    last = "\n".join(log.read_text(errors="replace").strip().split("\n")[-15:])
    if code in (2, 3, 4, 5):
        # pytest's own codes: interrupted, an error of its own, wrong usage, no tests.
        return Result(Outcome.UNAVAILABLE, f"the check could not run:\n{last}")
    return Result(Outcome.ERROR, f"it ended Python itself, with exit code {code}: no os._exit() here")
