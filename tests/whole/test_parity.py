"""A day replayed over HTTP: every feature the scorer computed equals Spark's."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from contracts.features import FEATURES
from contracts.labels import DAY
from tests.whole.conftest import ZONE
from tests.whole.pipeline import Pipeline
from tests.whole.small_bank import BIG, HISTORY_END, LIVE, LIVE_DAY, Row, SmallBank

# The first test waits for the whole pipeline: databases, a history, a training.
pytestmark = pytest.mark.timeout(900)

LATE_SECOND = LIVE + 30_000


def followers_of(small_bank: SmallBank, customer: int) -> list[Row]:
    """A customer's live payments that are later than the late payment but were answered before it."""
    return [row for row in small_bank.rows if row[2] == customer and row[1] > LATE_SECOND]


@pytest.fixture(scope="module")
def late_customer(small_bank: SmallBank) -> int:
    """The customer whose late payment affects the most payments; none of a planted case, which must stay comparable."""
    planted = {row[2] for row in small_bank.rows if row[0] in small_bank.planted.values()}
    others = sorted({row[2] for row in small_bank.rows} - planted)
    return max(others, key=lambda customer: len(followers_of(small_bank, customer)))


@pytest.fixture(scope="module")
def replayed(pipeline: Pipeline, small_bank: SmallBank, late_customer: int) -> dict[str, Any]:
    """Replay the live day, post the late payments, and run the lake's jobs for that day."""
    outcome = pipeline.run("bank.replay", "--data", str(pipeline.data), "--day", str(LIVE_DAY), "--clients", "4")
    evening = LIVE + 85_000
    # The report comes late, twelve days after its fraud; a payment at that terminal sees it a second later.
    pipeline.report(small_bank.planted["reported_late"], evening)
    pipeline.pay(900_100, 30, 15, 1_500, evening + 1)
    # A payment that arrives after later ones of its customer, and one follower that comes after both.
    pipeline.pay(900_101, late_customer, 33, 6_000, LATE_SECOND)
    pipeline.pay(900_102, late_customer, 34, 6_100, evening + 2)
    pipeline.daily_jobs(LIVE_DAY, LIVE_DAY)
    return outcome


def test_every_feature_of_every_payment_is_equal(
    pipeline: Pipeline, small_bank: SmallBank, replayed: dict[str, Any], late_customer: int
) -> None:
    live = [row for row in small_bank.rows if row[1] >= LIVE]
    found = pipeline.run("spark_jobs.compare_decisions", "--from", str(LIVE_DAY), "--to", str(LIVE_DAY))
    followers = followers_of(small_bank, late_customer)
    assert len(followers) >= 2
    assert (replayed["scored"], replayed["refused"]) == (len(live), 10)
    assert found["mismatches"] == found["missing"] == found["degraded"] == 0
    assert found["touched_by_late"] == len(followers)
    # The payment with an id of the history, and two after it.
    assert found["repeated_ids"] == 3
    assert found["compared"] == len(live) + 3 - len(followers) - 3


def test_of_repeated_ids_the_first_file_s_payments_count(
    pipeline: Pipeline, small_bank: SmallBank, replayed: dict[str, Any]
) -> None:
    assert replayed["refused"] == 10
    for row in small_bank.corrections["a-corrections"]:
        assert pipeline.decision(row[0])["features"]["amount"] == row[4] / 100
    # The customer has no other payments than the planted ones.
    seen = [pipeline.decision(small_bank.planted[name])["features"] for name in ("known_id", "after_both")]
    assert [features["customer_tx_count_30d"] for features in seen] == [1, 3]


def test_night_is_local_to_the_bank_s_zone(pipeline: Pipeline, small_bank: SmallBank, replayed: dict[str, Any]) -> None:
    assert replayed["scored"] > 0
    assert pipeline.bundle()["bank_zone"]["name"] == ZONE
    zone = ZoneInfo(ZONE)
    for row in [row for row in small_bank.rows if row[1] >= LIVE][:50]:
        night = datetime.fromtimestamp(row[1], zone).hour <= 6
        assert pipeline.decision(row[0])["features"]["is_night"] == night


def test_the_planted_cases_have_their_intended_effect(
    pipeline: Pipeline, small_bank: SmallBank, replayed: dict[str, Any], late_customer: int
) -> None:
    def features(name: str) -> dict[str, float]:
        return pipeline.decision(small_bank.planted[name])["features"]

    assert features("same_second_b")["customer_tx_count_1d"] == features("same_second_a")["customer_tx_count_1d"] + 1
    assert features("never_seen")["customer_tx_count_30d"] == 1
    assert features("never_seen")["terminal_tx_count_30d"] == 0
    assert features("never_seen_again")["customer_tx_count_30d"] == 2
    assert features("sees_it_now")["terminal_fraud_rate_1d"] > 0
    assert pipeline.decision(900_100)["features"]["terminal_fraud_rate_30d"] > 0
    assert pipeline.decision(BIG)["transaction_id"] == BIG
    before_late = [
        row for row in small_bank.rows if row[2] == late_customer and LATE_SECOND - DAY < row[1] <= LATE_SECOND
    ]
    assert pipeline.decision(900_101)["features"]["customer_tx_count_1d"] == len(before_late) + 1


def test_invalid_payments_are_quarantined_and_nothing_is_lost(pipeline: Pipeline, small_bank: SmallBank) -> None:
    found = pipeline.history["validate"]
    assert found["rows_in"] == len([row for row in small_bank.rows if row[1] < LIVE])
    assert found["rows_in"] == found["rows_good"] + found["rows_quarantined"]
    assert found["reasons"] == {"amount_negative": 1, "transaction_id_repeated": 1}
    assert pipeline.history["build_features"]["rows_out"] == found["rows_good"]
    assert pipeline.history["ingest"]["days_to_rerun"] == []


# Of the kernel.
CHANGES = {
    "one second": ("<= now - ", "< now - "),
    "one row": ("count_and_mean(row + 1 - start", "count_and_mean(row + 2 - start"),
    "one label": ("waiting[0][0] <= now", "waiting[0][0] < now"),
    "the payment's part in its habit": ("while newest < row:", "while newest <= row:"),
    "one payment in a run": ("max(before + 1, floor)", "max(before + 2, floor)"),
}


@pytest.fixture(scope="module")
def changed(
    pipeline: Pipeline, replayed: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Pipeline]:
    """The live day's features, built with each changed copy of the code: a pipeline each, with its code and lake."""
    assert replayed["scored"] > 0
    lines = {}
    for change, (old, new) in CHANGES.items():
        folder = tmp_path_factory.mktemp("changed")
        for package in ("contracts", "spark_jobs"):
            shutil.copytree(pipeline.root / package, folder / "code" / package)
        kernel = folder / "code/contracts/kernel.py"
        assert old in kernel.read_text()
        kernel.write_text(kernel.read_text().replace(old, new))
        shutil.copytree(pipeline.lake, folder / "lake")
        lines[change] = pipeline.with_code(folder / "code", folder / "lake")
    pairs = [str(path) for one in lines.values() for path in (one.root, one.lake)]
    # Not from the project folder: Spark's Python workers look for code in the working directory first.
    elsewhere = replace(pipeline, root=tmp_path_factory.mktemp("elsewhere"))
    elsewhere.submit(pipeline.root / "tests/whole/build_with_code.py", str(LIVE_DAY), *pairs)
    return lines


@pytest.mark.parametrize("change", CHANGES)
def test_the_comparison_fails_when_one_side_changes_by(change: str, changed: dict[str, Pipeline]) -> None:
    found = changed[change].run("spark_jobs.compare_decisions", "--from", str(LIVE_DAY), "--to", str(LIVE_DAY))
    assert found["mismatches"] > 0


def test_the_score_came_from_the_version_just_registered(pipeline: Pipeline, replayed: dict[str, Any]) -> None:
    champion = pipeline.mlflow("/api/2.0/mlflow/registered-models/alias", name="fraud", alias="champion")[
        "model_version"
    ]
    versions = pipeline.mlflow("/api/2.0/mlflow/model-versions/search", filter="name='fraud'")["model_versions"]
    assert [version["version"] for version in versions] == [champion["version"]] == [pipeline.trained["model_version"]]
    assert pipeline.decision(900_102)["model_version"] == champion["version"]
    model = pipeline.get("/v1/model").json()
    assert model["version"] == champion["version"]
    assert model["features"] == list(FEATURES)
    assert model["training_window"]["to"] < str(HISTORY_END)
    assert replayed["decisions"].keys() == {"approve", "review", "decline"}


def test_the_score_is_the_scikit_learn_model_s(pipeline: Pipeline, replayed: dict[str, Any]) -> None:
    """Score a decision's recorded features with the registered scikit-learn model itself, calibrated by the bundle."""
    assert replayed["scored"] > 0
    decision = pipeline.decision(900_102)
    row = json.dumps([decision["features"][name] for name in FEATURES])
    raw = pipeline.python(
        "import json, sys, mlflow\n"
        "model = mlflow.sklearn.load_model('models:/fraud@champion')\n"
        f"print(json.dumps(float(model.decision_function([{row}])[0])))\n"
    )
    calibration = pipeline.bundle()["calibration"]
    expected = 1 / (1 + np.exp(-(calibration["slope"] * raw + calibration["intercept"])))
    assert decision["score"] == pytest.approx(expected, abs=1e-9)


def test_a_repeated_payment_gets_its_first_answer(
    pipeline: Pipeline, replayed: dict[str, Any], late_customer: int
) -> None:
    assert replayed["scored"] > 0
    first = pipeline.decision(900_102)
    again = pipeline.score(900_102, late_customer, 34, 6_100, LIVE + 85_002)
    assert again["score"] == first["score"]
    other = pipeline.post("/v1/score", pipeline.body(900_102, late_customer, 34, 6_200, LIVE + 85_002))
    assert other.status_code == 409
