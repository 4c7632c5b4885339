"""The live exercises, on a copy of what the demo left: `make test-capstones`."""

from __future__ import annotations

from pathlib import Path

import pytest

from exercises.manifest import Exercise, read_manifest
from tests.exercises.proof import prove

LIVE = [exercise for exercise in read_manifest() if exercise.live]


@pytest.mark.parametrize("exercise", LIVE, ids=lambda exercise: exercise.id)
def test_each_answer_comes_to_what_it_should(exercise: Exercise, tmp_path: Path) -> None:
    prove(exercise, tmp_path)
