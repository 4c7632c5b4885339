"""The capstones, on a copy of the demo's data: `make test-capstones`."""

from __future__ import annotations

import pytest

from exercises.catalog import Exercise, read_catalog
from tests.exercises.proof import Found, check_all, prove

CAPSTONES = [exercise for exercise in read_catalog() if exercise.capstone]


@pytest.fixture(scope="module")
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Found]:
    """The results of the exercises that were selected: one pipeline, one process, one earlier champion for all."""
    chosen = [item.callspec.params["exercise"] for item in request.session.items if hasattr(item, "callspec")]
    return check_all([one for one in CAPSTONES if one in chosen], tmp_path_factory.mktemp("answers"))


@pytest.mark.parametrize("exercise", CAPSTONES, ids=lambda exercise: exercise.id)
def test_each_answer_has_its_outcome(exercise: Exercise, found: dict[str, Found]) -> None:
    prove(exercise, found[exercise.id])
