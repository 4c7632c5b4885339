"""Each shape of public data, read by its map alone, has the same features online and in Spark.

All shapes are one bank: one Spark application runs its history and its live day, and the session's champion scores.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from demo.embedded_servers import free_port
from tests.bank.shaped_bank import QUIRKS, Size, write_bank
from tests.bank.shapes import SHAPES
from tests.whole.pipeline import SERVING_PYTHON, Pipeline, serving

pytestmark = pytest.mark.timeout(1500)

SIZE = Size(days=41, a_day=60, customers=40, terminals=15)
START = datetime(2019, 3, 1)
FIRST_DAY = START.date()
LIVE_DAY = FIRST_DAY + timedelta(days=SIZE.days - 1)
HISTORY_END = LIVE_DAY - timedelta(days=1)


@dataclass(frozen=True)
class Run:
    """The results of the commands: of loading and replaying each shape, and of comparing all."""

    pipeline: Pipeline
    loaded: dict[str, Any]
    played: dict[str, Any]
    compared: dict[str, Any]


@pytest.fixture(scope="module")
def empty_bank(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """The session's servers and champion, with databases, an online store and a lake of their own."""
    folder, port = tmp_path_factory.mktemp("shapes"), free_port()
    settings = {
        "TMPDIR": str(folder),
        "LAKE_URI": str(folder / "lake"),
        "BANK_URL": pipeline.environment["BANK_URL"] + "_of_shapes",
        "DECISIONS_URL": pipeline.environment["DECISIONS_URL"] + "_of_shapes",
        "VALKEY_URL": pipeline.environment["VALKEY_URL"].removesuffix("/0") + "/1",
        "SCORER_PORT": str(port),
        "SCORER_URL": f"http://127.0.0.1:{port}",
        # The live day's jobs run in the application of the history's.
        "SPARK_IDLE_SECONDS": "30",
    }
    own = replace(pipeline.with_settings(**settings), folder=folder)
    own.run("bank.migrate")
    return own


@pytest.fixture(scope="module")
def run(empty_bank: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Load every shape, run the history's jobs, replay the live day and compare it."""
    feeds = {}
    for number, name in enumerate(SHAPES):
        path = write_bank(name, tmp_path_factory.mktemp(name), START, SIZE, first=number * 100_000)
        feeds[name] = ["--data", str(path), "--map", name]
    loaded = {name: empty_bank.run("bank.load", *feed, "--hold-out-days", "1") for name, feed in feeds.items()}
    empty_bank.daily_jobs(FIRST_DAY, HISTORY_END)
    scorer = [str(SERVING_PYTHON), "-m", "serving"]
    ready = empty_bank.environment["SCORER_URL"] + "/readyz"
    live = ["--day", str(LIVE_DAY), "--clients", "4"]
    with serving(empty_bank, scorer, ready, empty_bank.folder / "scorer.log"):
        played = {name: empty_bank.run("bank.replay", *feed, *live) for name, feed in feeds.items()}
    for job in ("ingest", "validate", "build_features"):
        empty_bank.spark(job, LIVE_DAY, LIVE_DAY)
    return Run(empty_bank, loaded, played, compare(empty_bank))


def compare(pipeline: Pipeline) -> dict[str, Any]:
    """The result of comparing the live day."""
    days = ["--from", str(LIVE_DAY), "--to", str(LIVE_DAY)]
    found: dict[str, Any] = pipeline.run("spark_jobs.compare_decisions", *days)
    return found


def one_payment_of_each(pipeline: Pipeline) -> list[int]:
    """The id of a live payment of each shape that has no other row with its id."""
    rows = (
        "select min(transaction_id) from (select source, day, transaction_id,"
        " count(*) over (partition by transaction_id) from bank.transactions) as one"
        " where count = 1 and day = %s group by source"
    )
    with connect(pipeline, "BANK_URL", "bank_reader", "bank_reader_password") as connection:
        return [number for (number,) in connection.execute(rows, [LIVE_DAY])]


def connect(pipeline: Pipeline, url: str, user: str, secret: str) -> psycopg.Connection[Any]:
    """A connection to one of the databases."""
    password = (Path(pipeline.environment["SECRETS_DIR"]) / secret).read_text().strip()
    return psycopg.connect(pipeline.environment[url], user=user, password=password)


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_is_loaded_and_replayed_by_its_map_alone(name: str, run: Run) -> None:
    loaded, played = run.loaded[name], run.played[name]
    payments = loaded["rows_in"] - loaded["refunds"] - sum(loaded["refused"].values())
    assert loaded["rows_in"] == SIZE.days * SIZE.a_day
    assert loaded["held_out"] == [str(LIVE_DAY)]
    assert played["scored"] + played["refused"] == payments - loaded["rows"] > 40
    assert (played["refused"] > 0) == QUIRKS[name].has_ids
    assert played["unposted"] == 0
    assert loaded["refunds"] > 0 < loaded["unknown_labels"]


def test_every_feature_of_every_shape_is_equal_online_and_in_spark(run: Run) -> None:
    compared = run.compared
    assert (compared["mismatches"], compared["missing"], compared["degraded"]) == (0, 0, 0)
    scored = sum(played["scored"] for played in run.played.values())
    assert compared["compared"] + compared["repeated_ids"] >= scored
    assert compared["compared"] > 0.9 * scored


def test_the_comparison_sees_one_wrong_feature_of_each_shape(run: Run) -> None:
    ids = one_payment_of_each(run.pipeline)
    assert len(ids) == len(SHAPES)
    wrong = "jsonb_set(features, '{customer_tx_count_30d}', '77')"
    with connect(run.pipeline, "DECISIONS_URL", "scorer", "decisions_password") as connection:
        connection.execute(f"update serving.decisions set features = {wrong} where transaction_id = any(%s)", [ids])
    found = compare(run.pipeline)
    # A difference after a repeated id is counted there.
    explained = found["repeated_ids"] - run.compared["repeated_ids"]
    assert found["mismatches"] + explained == len(SHAPES)
    assert found["mismatches"] >= sum(not quirks.has_ids for quirks in QUIRKS.values())
