"""Each exercise without a running system gives the expected outcome for every answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from exercises.manifest import Exercise, read_manifest
from tests.exercises.proof import prove

OFFLINE = [exercise for exercise in read_manifest() if not exercise.live]


@pytest.mark.parametrize("exercise", OFFLINE, ids=lambda exercise: exercise.id)
def test_each_answer_comes_to_what_it_should(exercise: Exercise, tmp_path: Path) -> None:
    prove(exercise, tmp_path)
