"""The champion: loaded without a restart or a failed request, rejected if it is invalid."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from contracts.bundle import CARD_HTML, CARD_MARKDOWN, MANIFEST, METADATA, TREES, BundleError, write_manifest
from contracts.features import FEATURES, FEATURES_VERSION
from contracts.signature import sign
from serving.errors import RegistryError
from serving.model.champion import FILES
from serving.model.champion_watcher import ChampionWatcher
from serving.model.model_cache import ModelCache
from serving.model.registry_client import RegistryClient, Version
from serving.observability.metrics import Metrics
from serving.retries import POLLS_BEFORE_RETRY
from tests.serving.bundles import REFERENCE, margin, write_bundle
from tests.serving.conftest import Start
from tests.serving.registry_stub import RegistryStub
from tests.serving.running import ScorerProcess, wait_for
from tests.serving.signing import KEY, signature_check

MAX_BYTES = 2**20
T = 1_535_700_000
Fresh = Callable[[], int]


@pytest.fixture(scope="module")
def own_registry() -> Iterator[RegistryStub]:
    stub = RegistryStub()
    yield stub
    stub.stop()


@pytest.fixture(scope="module")
def own(
    start: Start, state: Any, own_registry: RegistryStub, tmp_path_factory: pytest.TempPathFactory
) -> ScorerProcess:
    """A scorer with a separate registry, started before there was a champion."""
    assert state.ping()
    scorer = start(ready=False, MLFLOW_TRACKING_URI=own_registry.url)
    answer = scorer.client.post("/v1/score", json={})
    assert answer.status_code == 422
    wait_for(lambda: "the registry has no champion" in scorer.client.get("/readyz").text)
    answer = scorer.client.get("/v1/model")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    assert "train and promote" in answer.json()["detail"]
    own_registry.promote(write_bundle(tmp_path_factory.mktemp("first")))
    wait_for(lambda: scorer.client.get("/readyz").status_code == 200)
    return scorer


def version(scorer: ScorerProcess) -> str:
    return str(scorer.client.get("/v1/model").json()["version"])


def test_the_model_in_use_is_reported(own: ScorerProcess, own_registry: RegistryStub) -> None:
    told = own.client.get("/v1/model").json()
    assert told == {
        "version": own_registry.champion,
        "thresholds": {"review": 0.5, "decline": 0.9},
        "training_window": {"from": "2018-04-01", "to": "2018-04-30"},
        "metrics": {"average_precision": 0.5},
        "features": list(FEATURES),
        "features_version": FEATURES_VERSION,
        "problem": "",
        "reference_log_odds": margin(REFERENCE),
    }


def test_only_the_bundle_is_downloaded(own: ScorerProcess, own_registry: RegistryStub) -> None:
    assert version(own)
    assert {path.partition("/artifacts/0/")[2].partition("/artifacts/")[2] for path in own_registry.downloads} == {
        MANIFEST, METADATA, TREES, CARD_HTML, CARD_MARKDOWN,
    }  # fmt: skip


def test_a_new_champion_is_used_without_a_failed_request(
    own: ScorerProcess, own_registry: RegistryStub, fresh: Fresh, tmp_path: Path
) -> None:
    customer = fresh()
    own.batch([(fresh(), customer, fresh(), 100, T - 9 + n) for n in range(5)])
    payment = (fresh(), customer, fresh(), 100, T)
    first = own.score(*payment)
    assert own.score(*payment, explain=True)["reasons"]
    answers: list[dict[str, Any]] = []
    ended = threading.Event()

    def load() -> None:
        while not ended.is_set():
            answers.append(own.score(fresh(), fresh(), fresh(), 100, T))

    clients = [threading.Thread(target=load) for _ in range(3)]
    for client in clients:
        client.start()
    new = own_registry.promote(write_bundle(tmp_path / "new", shift=2.0))
    wait_for(lambda: answers and answers[-1]["model_version"] == new)
    ended.set()
    for client in clients:
        client.join()
    scores = {answer["model_version"]: answer["score"] for answer in answers}
    assert set(scores) == {first["model_version"], new}
    assert scores[new] > scores[first["model_version"]]
    assert {(answer["model_version"], answer["score"]) for answer in answers} == set(scores.items())
    assert own.score(*payment) == first
    # Only the model that decided could explain its decision.
    assert own.score(*payment, explain=True) == first


def cut_trees(root: Path) -> None:
    (root / TREES).write_bytes((root / TREES).read_bytes()[:-20])


def turn_a_bit(root: Path, name: str = TREES) -> None:
    content = bytearray((root / name).read_bytes())
    content[len(content) // 2] ^= 1
    (root / name).write_bytes(content)


def lose_metadata(root: Path) -> None:
    (root / METADATA).unlink()


def write_no_trees(root: Path) -> None:
    (root / TREES).write_bytes(b"no trees at all " * 20)
    write_manifest(root, FILES)


def change(root: Path, **fields: Any) -> None:
    metadata = json.loads((root / METADATA).read_text()) | fields
    (root / METADATA).write_text(json.dumps(metadata))
    write_manifest(root, FILES)


def write_card(root: Path, name: str, content: bytes) -> None:
    (root / name).write_bytes(content)
    write_manifest(root, FILES)


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "cut trees": (cut_trees, "trees.treelite is damaged"),
    "a bit of the trees": (turn_a_bit, "trees.treelite is damaged"),
    "no metadata": (lose_metadata, "bundle.json is missing"),
    "what no library reads": (write_no_trees, ""),
    "a bit of the card": (lambda root: turn_a_bit(root, CARD_HTML), "card.html is damaged"),
    "no card": (lambda root: (root / CARD_MARKDOWN).unlink(), "card.md is missing"),
    "a huge card": (lambda root: write_card(root, CARD_HTML, b"x" * 5_000_001), "card.html has 5000001 bytes"),
    "a card that is not text": (lambda root: write_card(root, CARD_MARKDOWN, b"# Card \xff"), "card.md is not UTF-8"),
    "other features": (lambda root: change(root, features_version="0"), "retrain the model"),
    "a calibration that is not a number": (
        lambda root: change(root, calibration={"slope": float("nan"), "intercept": 0.0}),
        "calibration.slope: Input should be a finite number",
    ),
    "an infinite reference": (
        lambda root: change(root, reference=REFERENCE | {"amount": float("inf")}),
        "reference.amount: Input should be a finite number",
    ),
    "a metric that is not a number": (
        lambda root: change(root, metrics={"average_precision": float("nan")}),
        "metrics.average_precision: Input should be a finite number",
    ),
    "a calibration that overflows": (
        lambda root: change(root, calibration={"slope": 1e308, "intercept": 0.0}),
        "do not always add up to a finite number",
    ),
    "a longer memory": (lambda root: change(root, terminal_horizon_days=99), "keeps only 37 days"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_an_invalid_champion_is_rejected_and_the_old_one_stays(
    own: ScorerProcess, own_registry: RegistryStub, fresh: Fresh, tmp_path: Path, case: str
) -> None:
    before, sound = version(own), own_registry.champion
    damage, told = DAMAGE[case]
    damage(write_bundle(tmp_path / "bad"))
    refused = own_registry.promote(tmp_path / "bad")
    wait_for(lambda: f"version {refused} is rejected because " in own.client.get("/readyz").text)
    assert told in own.client.get("/readyz").json()["checks"]["model"]["detail"]
    assert own.client.get("/readyz").status_code == 200
    assert version(own) == before
    assert own.score(fresh(), fresh(), fresh(), 100, T)["model_version"] == before
    assert own.log.read_text().count(f"version {refused} is rejected because ") == 1
    own_registry.champion = sound


def test_a_rejected_version_is_not_retried_at_every_poll(tmp_path: Path) -> None:
    stub = RegistryStub()
    turn_a_bit(write_bundle(tmp_path / "bad"))
    stub.promote(tmp_path / "bad")

    async def poll(times: int) -> None:
        async with httpx.AsyncClient(base_url=stub.url) as client:
            kept, signatures = ModelCache(tmp_path / "kept"), signature_check(tmp_path)
            asked = RegistryClient(client, "fraud", MAX_BYTES)
            champions = ChampionWatcher(asked, kept, signatures, Metrics(), poll_seconds=1)
            for _ in range(times):
                await champions.refresh()

    for polls, tries in ((POLLS_BEFORE_RETRY, 1), (POLLS_BEFORE_RETRY + 1, 2)):
        stub.downloads.clear()
        asyncio.run(poll(polls))
        assert sum(path.endswith(MANIFEST) for path in stub.downloads) == tries
    stub.stop()


def test_any_broken_connection_is_a_registry_that_does_not_answer() -> None:
    """If a connection is reset as it opens, httpx raises AttributeError from asyncio's transport."""

    def broken(_: httpx.Request) -> httpx.Response:
        raise AttributeError("'NoneType' object has no attribute 'getpeername'")

    async def ask() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(broken), base_url="http://registry") as client:
            await RegistryClient(client, "fraud", MAX_BYTES).champion()

    with pytest.raises(RegistryError, match="is not responding"):
        asyncio.run(ask())


def test_requests_succeed_while_the_registry_is_down(start: Start, state: Any, fresh: Fresh, tmp_path: Path) -> None:
    stub = RegistryStub()
    stub.promote(write_bundle(tmp_path / "one"))
    scorer = start(MLFLOW_TRACKING_URI=stub.url)
    stub.stop()
    wait_for(lambda: "is not responding" in scorer.log.read_text(), scorer.log.read_text)
    assert scorer.client.get("/readyz").status_code == 200
    assert scorer.score(fresh(), fresh(), fresh(), 100, T)["model_version"] == "1"
    assert state.ping()


def test_a_start_without_the_registry_uses_the_cached_version_and_says_so(
    start: Start, state: Any, fresh: Fresh, tmp_path: Path
) -> None:
    stub = RegistryStub()
    stub.promote(write_bundle(tmp_path / "one"))
    turn_a_bit(write_bundle(tmp_path / "two"))
    scorer = start(MLFLOW_TRACKING_URI=stub.url)
    assert scorer.client.get("/v1/model").json()["problem"] == ""
    refused = stub.promote(tmp_path / "two")
    wait_for(lambda: f"version {refused} is rejected because " in scorer.client.get("/v1/model").json()["problem"])
    scorer.kill()
    # A start with a damaged champion is like one without the registry.
    scorer.start()
    told = scorer.client.get("/v1/model").json()
    assert (told["version"], f"version {refused} is rejected because " in told["problem"]) == ("1", True)
    stub.stop()
    scorer.kill()
    scorer.start()
    told = scorer.client.get("/v1/model").json()
    # Not the newer version: it was never loaded successfully.
    assert told["version"] == "1"
    assert "is not responding" in told["problem"]
    assert "scorer_model_problem 1.0" in scorer.client.get("/metrics").text
    assert scorer.score(fresh(), fresh(), fresh(), 100, T)["model_version"] == "1"
    assert state.ping()
    # The cache is verified like a download.
    scorer.kill()
    (kept,) = scorer.log.with_name("champion").glob("version-1")
    turn_a_bit(kept)
    scorer.start(ready=False)
    wait_for(lambda: "cached on disk is rejected because " in scorer.client.get("/readyz").text)
    assert scorer.client.get("/readyz").status_code == 503


async def refreshed(url: str, cache: Path) -> ChampionWatcher:
    """A watcher after its first poll."""
    with tempfile.TemporaryDirectory() as keys:
        async with httpx.AsyncClient(base_url=url) as client:
            asked, signatures = RegistryClient(client, "fraud", MAX_BYTES), signature_check(Path(keys))
            champions = ChampionWatcher(asked, ModelCache(cache), signatures, Metrics(), poll_seconds=1)
            await champions.refresh()
            return champions


def test_a_registry_that_lost_its_models_leaves_the_cached_champion(tmp_path: Path) -> None:
    root = write_bundle(tmp_path / "bundle")
    signature = sign(KEY, "fraud", "3", (root / MANIFEST).read_bytes())
    ModelCache(tmp_path / "cache").keep(Version("3", "models:/m-3", signature), root)
    champions = asyncio.run(refreshed(RegistryStub().url, tmp_path / "cache"))
    assert champions.current.version == "3"
    assert champions.problem.startswith("the registry has no champion")


@pytest.mark.parametrize("number", ["../../elsewhere", "1/2", "", "-1", "1 ", "\u0661", "1" * 30])
def test_a_version_that_is_no_number_touches_no_folder(tmp_path: Path, number: str) -> None:
    stub = RegistryStub()
    stub.versions[number], stub.champion = write_bundle(tmp_path / "bundle"), number
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/kept").touch()
    champions = asyncio.run(refreshed(stub.url, tmp_path / "deep/cache"))
    assert "is not a number" in champions.problem
    assert not (tmp_path / "deep").exists()
    assert (tmp_path / "elsewhere/kept").exists()


def test_a_cache_whose_version_is_no_number_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "current.json").write_text('{"number": "../bundle", "source": "models:/m-1"}')
    with pytest.raises(BundleError, match="does not contain a model version"):
        ModelCache(tmp_path).read()


def test_without_a_model_no_payment_is_claimed(start: Start, state: Any, fresh: Fresh) -> None:
    stub = RegistryStub()
    scorer = start(ready=False, MLFLOW_TRACKING_URI=stub.url)
    number = fresh()
    payment = {
        "transaction_id": number,
        "customer_id": 1,
        "terminal_id": 1,
        "amount": 1,
        "occurred_at": "2018-08-01T00:00Z",
    }
    for path, sent in (("/v1/score", payment), ("/v1/score/batch", {"transactions": [payment]})):
        answer = scorer.client.post(path, json=sent)
        assert answer.status_code == 503
        assert "there is no model" in answer.json()["detail"]
    assert not state.exists(f"p:{number}")
    stub.stop()
    scorer.kill()
    shutil.rmtree(scorer.log.parent)
