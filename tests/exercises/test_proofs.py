"""Each exercise that needs no running system gives the expected outcome for every answer."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from exercises.catalog import Exercise, read_catalog
from tests.exercises.proof import Found, check_all, prove

OFFLINE = [exercise for exercise in read_catalog() if not exercise.capstone]
ENVIRONMENTS = ("pipeline", "serving", "airflow")
"""Two run at a time. The pipeline's takes longest, and starts first."""


@pytest.fixture(scope="module")
def found(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[dict[str, Found]]]]:
    """The results of the selected exercises, with one process per environment."""
    chosen = [item.callspec.params["exercise"] for item in request.session.items if _is_proof(item)]
    with ThreadPoolExecutor(max_workers=2) as pool:
        yield {
            environment: pool.submit(check_all, mine, tmp_path_factory.mktemp(environment))
            for environment in ENVIRONMENTS
            if (mine := [one for one in chosen if one.environment == environment])
        }


def _is_proof(item: Any) -> bool:
    return getattr(item, "function", None) is test_each_answer_has_its_outcome


# The first test of an environment waits for all its exercises.
@pytest.mark.timeout(900)
@pytest.mark.parametrize("exercise", OFFLINE, ids=lambda exercise: exercise.id)
def test_each_answer_has_its_outcome(exercise: Exercise, found: dict[str, Future[dict[str, Found]]]) -> None:
    prove(exercise, found[exercise.environment].result()[exercise.id])
