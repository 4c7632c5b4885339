"""The learner's progress, and copies of files that were reset, in `var/exercises`, which `make clean` keeps."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from exercises.catalog import EXERCISES, Exercise
from exercises.outcome import Outcome
from exercises.stub import stub_of

KEPT: Final = EXERCISES.parent / "var/exercises"


@dataclass
class Progress:
    """Progress in one exercise: last outcome, first pass, number of checks, number of hints shown."""

    outcome: str = Outcome.NOT_STARTED.value
    passed_at: str = ""
    checks: int = 0
    hints: int = 0


class ProgressError(Exception):
    """The progress file cannot be read; the message names it and says what to do."""


def read_progress() -> dict[str, Progress]:
    """Progress by exercise id, for started exercises. Raises `ProgressError`."""
    file = KEPT / "progress.json"
    try:
        return {id_: Progress(**entry) for id_, entry in json.loads(file.read_text()).items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError) as error:
        raise ProgressError(f"{file} is damaged ({error}): fix it, or move it away to start over") from error


def write_progress(progress: dict[str, Progress]) -> None:
    """Write the progress file atomically."""
    KEPT.mkdir(parents=True, exist_ok=True)
    new = KEPT / "progress.json.new"
    new.write_text(json.dumps({id_: asdict(entry) for id_, entry in progress.items()}, indent=2) + "\n")
    new.replace(KEPT / "progress.json")


def reset(exercise: Exercise, now: datetime) -> Path | None:
    """Restore the stub. Returns the copy of the learner's file, or None if it was still the stub."""
    stub = stub_of(exercise.solution.read_text())
    copy = None
    if exercise.answer.exists() and (written := exercise.answer.read_text()) != stub:
        copy = KEPT / "kept" / exercise.role / f"{exercise.id}-{now:%Y%m%d-%H%M%S-%f}.py"
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(written)
    new = exercise.answer.with_suffix(".new")
    new.write_text(stub)
    new.replace(exercise.answer)
    return copy
