"""`?explain=true` over HTTP: every contribution to the score, with trees whose features interact."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from contracts.features import FEATURES
from serving.explain.reasons import MAX_REASONS
from tests.serving.bundles import write_bundle
from tests.serving.conftest import Start
from tests.serving.forests import forest, random_tree
from tests.serving.registry_stub import RegistryStub
from tests.serving.running import ScorerProcess

T = 1_535_300_000
Fresh = Callable[[], int]
Payments = list[tuple[int, ...]]


@pytest.fixture(scope="module")
def flagging(start: Start, state: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScorerProcess]:
    """A scorer whose model has deep trees, is calibrated, and sends every payment to review."""
    assert state.ping()
    random = np.random.default_rng(3)
    trees = forest([random_tree(random, 31, len(FEATURES)) for _ in range(20)], len(FEATURES), base=-1.0)
    stub = RegistryStub()
    root = tmp_path_factory.mktemp("deep") / "bundle"
    stub.promote(write_bundle(root, thresholds=(0.0, 1.0), trees=trees, calibration=(0.6, -0.4)))
    yield start(MLFLOW_TRACKING_URI=stub.url)
    stub.stop()


@pytest.fixture
def payments(fresh: Fresh) -> Payments:
    """Payments whose features lie around the trees' splits."""
    random = np.random.default_rng(5)
    customers, terminals = [fresh() for _ in range(3)], [fresh() for _ in range(2)]
    return [
        (fresh(), customers[n % 3], terminals[n % 2], int(random.integers(0, 1_000)), T + n * 40_000) for n in range(24)
    ]


def sums(answers: list[dict[str, Any]]) -> list[float]:
    return [sum(reason["contribution"] for reason in answer["reasons"]) for answer in answers]


def log_odds(answers: list[dict[str, Any]]) -> list[float]:
    return [float(np.log(answer["score"] / (1 - answer["score"]))) for answer in answers]


def test_contributions_add_up_to_the_log_odds_of_the_score(flagging: ScorerProcess, payments: Payments) -> None:
    single = [flagging.score(*payment, explain=True) for payment in payments]
    assert flagging.batch(payments, explain=True) == single
    assert {frozenset(reason["feature"] for reason in answer["reasons"]) for answer in single} == {frozenset(FEATURES)}
    begin = flagging.client.get("/v1/model").json()["reference_log_odds"]
    assert [begin + added for added in sums(single)] == pytest.approx(log_odds(single), abs=1e-9)
    assert np.ptp(sums(single)) > 1


def test_without_it_the_strongest_reasons_come_in_the_same_order(flagging: ScorerProcess, payments: Payments) -> None:
    plain = flagging.batch(payments)
    told = flagging.batch(payments, explain=True)
    assert {answer["decision"] for answer in plain} == {"review"}
    for short, long in zip(plain, told, strict=True):
        assert short == long | {"reasons": long["reasons"][:MAX_REASONS]}
        assert len(long["reasons"]) == len(FEATURES)
        parts = [reason["contribution"] for reason in long["reasons"]]
        assert parts == sorted(parts, key=lambda part: (part == 0, part < 0, -abs(part)))
        kept = flagging.client.get(f"/v1/decisions/{short['transaction_id']}").json()
        assert kept["reasons"] == short["reasons"]
    assert flagging.batch(payments) == plain


def test_the_documentation_says_where_contributions_begin(flagging: ScorerProcess) -> None:
    described = flagging.client.get("/openapi.json").json()
    (explain,) = described["paths"]["/v1/score"]["post"]["parameters"]
    assert "reference_log_odds" in explain["description"]
    model = described["components"]["schemas"]["ModelOut"]
    assert "reference_log_odds" in model["required"]
    assert "contributions" in model["properties"]["reference_log_odds"]["description"]
