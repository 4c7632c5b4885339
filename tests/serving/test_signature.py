"""Only a promoted version is served: one with a signature by an accepted key."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client import generate_latest

import serving.model.champion_watcher
from contracts.bundle import CARD_HTML, MANIFEST, METADATA, TREES, write_manifest
from contracts.signature import PUBLIC_KEYS, sign, sign_withdrawal
from serving.errors import NotReadyError
from serving.model.champion import FILES
from serving.model.champion_watcher import ChampionWatcher
from serving.model.model_cache import ModelCache
from serving.model.registry_client import RegistryClient, Version
from serving.observability.metrics import Metrics
from serving.retries import POLLS_BEFORE_RETRY
from tests.serving.bundles import write_bundle
from tests.serving.registry_stub import RegistryStub
from tests.serving.signing import KEY, OTHER_KEY, public, signature_check


class Watched:
    """A watcher of a stubbed registry, one event loop a poll."""

    def __init__(self, folder: Path, *keys: Ed25519PrivateKey) -> None:
        self.folder = folder
        self.stub = RegistryStub()
        self.metrics = Metrics()
        self.cache = ModelCache(folder / "cache")
        self.signatures = signature_check(folder / "secrets", *keys)
        self.restart()

    def restart(self) -> None:
        self.client = RegistryClient(httpx.AsyncClient(base_url=self.stub.url), "fraud", 2**20)
        self.watcher = ChampionWatcher(self.client, self.cache, self.signatures, self.metrics, poll_seconds=1)

    def poll(self, times: int = 1) -> str:
        """Poll; returns the problem."""

        async def refresh() -> None:
            async with httpx.AsyncClient(base_url=self.stub.url) as client:
                self.client._client = client
                for _ in range(times):
                    await self.watcher.refresh()

        asyncio.run(refresh())
        return self.watcher.problem

    def promote(self, name: str, **bundle: Any) -> str:
        return self.stub.promote(write_bundle(self.folder / name, **bundle))

    @property
    def version(self) -> str | None:
        try:
            return self.watcher.current.version
        except NotReadyError:
            return None

    @property
    def refused(self) -> float:
        (line,) = [
            line
            for line in generate_latest(self.metrics.registry).decode().splitlines()
            if line.startswith("scorer_models_refused_total ")
        ]
        return float(line.split()[1])


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path)
    assert made.promote("first") == "1"
    assert made.poll() == ""
    assert made.version == "1"
    yield made
    made.stub.stop()


def approve_everything(root: Path) -> None:
    """The attack: no payment is reviewed or declined any more, and the manifest fits."""
    bundle = json.loads((root / METADATA).read_text()) | {"thresholds": {"review": 1.0, "decline": 1.0}}
    (root / METADATA).write_text(json.dumps(bundle))
    write_manifest(root, FILES)


def signature_of(root: Path, version: str, model: str = "fraud", key: Ed25519PrivateKey = KEY) -> str:
    return sign(key, model, version, (root / MANIFEST).read_bytes())


def lose_signature(watched: Watched, root: Path) -> None:
    del watched.stub.signatures["2"]


def change_after_promotion(watched: Watched, root: Path) -> None:
    approve_everything(root)


def sign_with_another_key(watched: Watched, root: Path) -> None:
    watched.stub.signatures["2"] = signature_of(root, "2", key=OTHER_KEY)


def sign_for_another_model(watched: Watched, root: Path) -> None:
    watched.stub.signatures["2"] = signature_of(root, "2", "other")


def replay_the_first_version(watched: Watched, root: Path) -> None:
    shutil.rmtree(root)
    shutil.copytree(watched.stub.versions["1"], root)
    watched.stub.signatures["2"] = watched.stub.signatures["1"]


def write_text(watched: Watched, root: Path) -> None:
    watched.stub.signatures["2"] = "promoted"


def cut_signature(watched: Watched, root: Path) -> None:
    watched.stub.signatures["2"] = watched.stub.signatures["2"][:-4]


ATTACKS = (
    lose_signature,
    change_after_promotion,
    sign_with_another_key,
    sign_for_another_model,
    replay_the_first_version,
    write_text,
    cut_signature,
)


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_version_without_a_valid_signature_is_rejected_unread(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, attack: Callable[[Watched, Path], None]
) -> None:
    watched.promote("second", shift=1.0)
    attack(watched, watched.stub.versions["2"])

    async def load(*_: Any) -> None:
        pytest.fail("it was loaded")

    monkeypatch.setattr(serving.model.champion_watcher, "load_in_sandbox", load)
    problem = watched.poll()
    assert problem.startswith("version 2 is rejected because it")
    assert "signature" in problem
    assert "--sign-again" in problem
    assert watched.version == "1"
    assert watched.refused == 1


@pytest.mark.parametrize("file", [METADATA, TREES, CARD_HTML])
def test_files_that_differ_from_the_signed_manifest_are_rejected(watched: Watched, file: str) -> None:
    watched.promote("second")
    (watched.stub.versions["2"] / file).write_bytes(b"{}")
    assert f"{file} is damaged" in watched.poll()
    assert watched.version == "1"


@pytest.mark.parametrize("file", FILES)
def test_a_signed_manifest_must_list_every_file_that_is_loaded(watched: Watched, file: str) -> None:
    root = write_bundle(watched.folder / "second")
    write_manifest(root, set(FILES) - {file})
    watched.stub.promote(root)
    assert f"{file} is not in {MANIFEST}" in watched.poll()
    assert watched.version == "1"


def test_a_signature_that_comes_later_is_noticed_at_the_next_poll(watched: Watched) -> None:
    signature = watched.promote("second") and watched.stub.signatures.pop("2")
    assert "no signature" in watched.poll()
    watched.stub.signatures["2"] = signature
    assert watched.poll() == ""
    assert watched.version == "2"


def test_a_rollback_to_an_earlier_promoted_version_is_served(watched: Watched) -> None:
    watched.promote("second")
    assert watched.poll() == ""
    watched.stub.champion = "1"
    assert watched.poll() == ""
    assert watched.version == "1"


def test_a_champion_that_loses_its_signature_is_reported_and_its_files_stay_in_use(watched: Watched) -> None:
    del watched.stub.signatures["1"]
    assert watched.poll().startswith("version 1 is rejected because it has no signature")
    assert watched.version == "1"


# -- the version cached on disk


def restarted_without_registry(watched: Watched) -> str:
    watched.stub.stop()
    watched.restart()
    return watched.poll()


def test_the_cached_champion_is_verified_at_a_start(watched: Watched) -> None:
    assert "is not responding" in restarted_without_registry(watched)
    assert watched.version == "1"


def test_a_changed_cache_is_rejected(watched: Watched) -> None:
    approve_everything(watched.folder / "cache/version-1")
    assert "the version cached on disk is rejected because its signature" in restarted_without_registry(watched)
    assert watched.version is None


def test_a_cache_from_before_signatures_is_rejected(watched: Watched) -> None:
    (watched.folder / "cache/current.json").write_text('{"number": "1", "source": "models:/m-1"}')
    assert "rejected because it has no signature" in restarted_without_registry(watched)
    assert watched.version is None


@pytest.mark.parametrize("signature", ["7", "null", "[]", '{"a": 1}'])
def test_a_cached_signature_that_is_no_text_is_rejected(watched: Watched, signature: str) -> None:
    text = f'{{"number": "1", "source": "models:/m-1", "signature": {signature}}}'
    (watched.folder / "cache/current.json").write_text(text)
    assert "does not contain a model version" in restarted_without_registry(watched)


@pytest.mark.parametrize("lost", [MANIFEST, *FILES])
def test_a_cache_that_lost_a_file_is_rejected(watched: Watched, lost: str) -> None:
    (watched.folder / f"cache/version-1/{lost}").unlink()
    assert "cached on disk is rejected because" in restarted_without_registry(watched)
    assert watched.version is None


def test_the_cache_may_change_between_its_check_and_its_load(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    check = watched.signatures.check

    def check_then_change(version: Version, root: Path) -> None:
        check(version, root)
        approve_everything(watched.folder / "cache/version-1")

    monkeypatch.setattr(watched.signatures, "check", check_then_change)
    restarted_without_registry(watched)
    assert watched.watcher.current.bundle.thresholds.decline == 0.9


def test_a_version_signed_again_is_cached_with_its_new_signature(watched: Watched) -> None:
    signature_check(watched.folder / "secrets", KEY, OTHER_KEY)
    watched.stub.signatures["1"] = signature_of(watched.stub.versions["1"], "1", key=OTHER_KEY)
    assert watched.poll() == ""
    cached = watched.cache.read()
    assert cached is not None
    assert cached[0].signature == watched.stub.signatures["1"]


# -- no champion in the registry: by accident, or withdrawn


def test_a_restart_without_the_alias_serves_the_kept_champion_and_says_so(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.stub.champion = None
    assert watched.poll().startswith("the registry has no champion")
    assert watched.version == "1"
    watched.restart()
    with caplog.at_level("WARNING"):
        assert watched.poll().startswith("the registry has no champion")
    assert watched.version == "1"
    assert "champion loaded from the cache" in caplog.messages


def test_a_withdrawn_champion_is_served_no_more_also_without_the_registry(watched: Watched) -> None:
    watched.stub.withdraw("1")
    for _ in range(2):
        assert watched.poll().startswith("version 1 was withdrawn")
        assert watched.version is None
        watched.restart()
    assert (
        'scorer_model_info{features_version="3",version="1"} 1'
        not in generate_latest(watched.metrics.registry).decode()
    )
    assert "is not responding" in restarted_without_registry(watched)
    assert watched.version is None


def test_after_a_withdrawal_the_next_champion_is_served_or_an_earlier_one(watched: Watched) -> None:
    watched.promote("second")
    assert watched.poll() == ""
    watched.stub.withdraw("2")
    assert "withdrawn" in watched.poll()
    watched.stub.champion = "1"
    assert watched.poll() == ""
    assert watched.version == "1"
    watched.promote("third")
    assert watched.poll() == ""
    assert watched.version == "3"


def test_the_alias_on_another_withdrawn_version_does_not_stop_the_model_in_use_nor_a_restart(watched: Watched) -> None:
    watched.promote("second")
    watched.stub.withdraw("2")
    for _ in range(2):
        assert watched.poll().startswith("version 2 was withdrawn")
        assert watched.version == "1"
        watched.restart()
    assert "is not responding" in restarted_without_registry(watched)
    assert watched.version == "1"


def withdraw_by_text(watched: Watched) -> str:
    return "withdrawn"


def withdraw_with_another_key(watched: Watched) -> str:
    return sign_withdrawal(OTHER_KEY, "fraud", "2", watched.stub.signatures["2"])


def withdraw_another_version(watched: Watched) -> str:
    return sign_withdrawal(KEY, "fraud", "1", watched.stub.signatures["1"])


def withdraw_another_model(watched: Watched) -> str:
    return sign_withdrawal(KEY, "other", "2", watched.stub.signatures["2"])


def withdraw_an_earlier_version_of_this_number(watched: Watched) -> str:
    return sign_withdrawal(KEY, "fraud", "2", watched.stub.signatures["1"])


def withdraw_by_the_promotion(watched: Watched) -> str:
    return watched.stub.signatures["2"]


FORGED = (
    withdraw_by_text,
    withdraw_with_another_key,
    withdraw_another_version,
    withdraw_another_model,
    withdraw_an_earlier_version_of_this_number,
    withdraw_by_the_promotion,
)


@pytest.mark.parametrize("forge", FORGED)
def test_a_withdrawal_that_was_not_signed_for_this_version_counts_for_nothing(
    watched: Watched, forge: Callable[[Watched], str]
) -> None:
    watched.promote("second")
    assert watched.poll() == ""
    watched.stub.withdrawals["2"] = forge(watched)
    downloads = len(watched.stub.downloads)
    assert watched.poll() == ""
    assert watched.version == "2"
    assert len(watched.stub.downloads) == downloads
    watched.restart()
    assert watched.poll() == ""
    assert watched.version == "2"


def test_a_withdrawal_is_no_promotion(watched: Watched) -> None:
    watched.promote("second")
    watched.stub.signatures["2"] = sign_withdrawal(KEY, "fraud", "2", watched.stub.signatures["2"])
    assert "is rejected because its signature" in watched.poll()
    assert watched.version == "1"


def test_a_copy_that_cannot_be_deleted_is_named(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(watched.cache, "clear", refuse)
    watched.stub.withdraw("1")
    assert "its copy in SCORER_CHAMPION_DIR stays (Permission denied): delete it" in watched.poll()
    assert watched.version is None


# -- the keys


def test_a_new_key_is_accepted_without_a_restart_and_a_removed_one_no_longer(watched: Watched) -> None:
    watched.promote("second")
    watched.stub.signatures["2"] = signature_of(watched.stub.versions["2"], "2", key=OTHER_KEY)
    assert "accepted key" in watched.poll()
    signature_check(watched.folder / "secrets", KEY, OTHER_KEY)
    assert watched.poll(POLLS_BEFORE_RETRY) == ""
    assert watched.version == "2"
    signature_check(watched.folder / "secrets", OTHER_KEY)
    watched.stub.champion = "1"
    assert "accepted key" in watched.poll()
    assert watched.version == "2"


@pytest.mark.parametrize("content", [None, "", "no key\n", public(KEY)[:-5]])
def test_keys_that_are_lost_while_it_runs_are_named(watched: Watched, content: str | None) -> None:
    file = watched.folder / "secrets" / PUBLIC_KEYS
    file.unlink()
    if content is not None:
        file.write_text(content)
    watched.promote("second")
    assert f"{file} does not contain public keys" in watched.poll()
    assert watched.version == "1"
