"""A Valkey that would lose histories is not used, or said to be at risk; at the start and when its settings change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import valkey

from contracts.online_state import META_KEY, RECONCILED, Stamp
from demo.embedded_servers import start_valkey
from serving.observability.metrics import Metrics
from serving.online_store.server_check import evicted, refusal, volatile
from serving.online_store.server_watch import ServerWatch
from tests.serving.conftest import Start
from tests.serving.running import ScorerProcess, wait_for

T = 1_535_800_000
POLICIES = (
    "allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl",
)  # fmt: skip


@dataclass(frozen=True)
class OwnValkey:
    """A Valkey whose settings a test may change."""

    address: str
    client: Any


@pytest.fixture(scope="module")
def own_valkey(tmp_path_factory: pytest.TempPathFactory, valkey_server: Any) -> Iterator[OwnValkey]:
    folder = tmp_path_factory.mktemp("valkey")
    server = start_valkey(folder / "data", valkey_server.password, folder / "valkey.log")
    with valkey.Valkey(port=server.port, password=server.password) as client:
        client.hset(META_KEY, mapping=Stamp(written_to="2018-08-31").fields() | {RECONCILED: "1"})
        client.config_set("maxmemory", "256mb")
        yield OwnValkey(f"valkey://127.0.0.1:{server.port}/0", client)
    server.stop()


@pytest.fixture(scope="module")
def own(start: Start, own_valkey: OwnValkey, postgres: Any, make_database: Any) -> Iterator[ScorerProcess]:
    scorer = start(VALKEY_URL=own_valkey.address, DECISIONS_URL=make_database(postgres, "decisions_of_store_settings"))
    yield scorer
    scorer.stop()


def told(scorer: ScorerProcess, check: str = "online_state") -> str:
    detail: str = scorer.client.get("/readyz").json()["checks"][check]["detail"]
    return detail


def metric(scorer: ScorerProcess) -> float:
    found = re.search(r"^scorer_store_settings_problem (\S+)$", scorer.client.get("/metrics").text, re.MULTILINE)
    assert found
    return float(found[1])


def wait_ready(scorer: ScorerProcess) -> None:
    wait_for(lambda: scorer.client.get("/readyz").status_code == 200, lambda: scorer.client.get("/readyz").text)


def test_an_evicting_policy_is_refused_when_it_is_set_and_used_again_afterwards(
    own: ScorerProcess, own_valkey: OwnValkey, fresh: Any
) -> None:
    """Also before a payment meets it."""
    wait_ready(own)
    wait_for(lambda: metric(own) == 0)
    customer = fresh()
    assert not own.score(fresh(), customer, fresh(), 100, T)["degraded"]
    own_valkey.client.config_set("maxmemory-policy", "allkeys-lru")
    wait_for(lambda: own.client.get("/readyz").status_code == 503)
    assert "maxmemory-policy allkeys-lru" in told(own)
    assert "CONFIG SET maxmemory-policy noeviction" in told(own)
    wait_for(lambda: metric(own) == 1)
    assert '"online store at risk"' in own.log.read_text()
    assert own.score(fresh(), customer, fresh(), 100, T + 1)["degraded"], "rather than on histories that may be gone"
    own_valkey.client.config_set("maxmemory-policy", "noeviction")
    wait_ready(own)
    wait_for(lambda: metric(own) == 0)
    number = fresh()
    assert not own.score(number, customer, fresh(), 100, T + 2)["degraded"]
    assert own.features(number)["customer_tx_count_1d"] == 3, "with the payment scored meanwhile"


def test_a_replica_is_refused_and_its_promotion_noticed(own: ScorerProcess, own_valkey: OwnValkey, fresh: Any) -> None:
    wait_ready(own)
    own_valkey.client.execute_command("REPLICAOF", "127.0.0.1", "1")
    wait_for(lambda: "Valkey is a replica, which takes no writes" in told(own))
    assert own.score(fresh(), fresh(), fresh(), 100, T)["degraded"]
    own_valkey.client.execute_command("REPLICAOF", "NO", "ONE")
    wait_ready(own)
    assert not own.score(fresh(), fresh(), fresh(), 100, T)["degraded"]


def test_a_server_that_keeps_nothing_over_a_restart_is_said(own: ScorerProcess, own_valkey: OwnValkey) -> None:
    wait_ready(own)
    own_valkey.client.config_set("appendonly", "no")
    try:
        wait_for(lambda: "Valkey has no append-only file" in told(own))
        assert own.client.get("/readyz").status_code == 200
        assert '"online store is not persistent"' in own.log.read_text()
    finally:
        own_valkey.client.config_set("appendonly", "yes")
    wait_for(lambda: told(own) == "compatible and in use")


def test_what_was_dropped_before_is_said(own: ScorerProcess, own_valkey: OwnValkey) -> None:
    client = own_valkey.client
    for number in range(64):
        client.set(f"p:ballast{number}", b"x" * 2**20, ex=3_600)
    try:
        # Only what expires, and only the ballast is large.
        client.config_set("maxmemory-policy", "volatile-ttl")
        client.config_set("maxmemory", client.info("memory")["used_memory"] - 2**22)
        client.set("p:more", b"x", ex=3_600)
        assert client.info("stats")["evicted_keys"] > 0
    finally:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", "256mb")
    wait_ready(own)
    wait_for(lambda: "keys since it started" in told(own, "capacity"))
    assert own.client.get("/readyz").json()["degraded"]
    assert metric(own) == 1
    client.config_resetstat()
    wait_for(lambda: not own.client.get("/readyz").json()["degraded"])


def test_a_scorer_that_starts_on_an_evicting_server_says_so(
    start: Start, own_valkey: OwnValkey, postgres: Any, make_database: Any
) -> None:
    own_valkey.client.config_set("maxmemory-policy", "volatile-lru")
    try:
        url = make_database(postgres, "decisions_of_an_evicting_store")
        scorer = start(False, VALKEY_URL=own_valkey.address, DECISIONS_URL=url)
        assert "maxmemory-policy volatile-lru" in told(scorer)
        assert "maxmemory-policy volatile-lru" in scorer.log.read_text()
        scorer.stop()
    finally:
        own_valkey.client.config_set("maxmemory-policy", "noeviction")


GOOD = {
    "redis_version": "7.2.4", "server_mode": "standalone", "role": "master", "cluster_enabled": 0, "maxmemory": 10**9,
    "maxmemory_policy": "noeviction", "aof_enabled": 1, "aof_last_write_status": "ok", "evicted_keys": 0,
}  # fmt: skip
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    **{policy: ({"maxmemory_policy": policy}, f"maxmemory-policy {policy}") for policy in POLICIES},
    "a policy that this code does not know": ({"maxmemory_policy": "allkeys-new"}, "noeviction"),
    "evicting and has evicted": (
        {"maxmemory_policy": "allkeys-lru", "evicted_keys": 1_234},
        "has dropped 1,234 already",
    ),
    "a cluster": ({"cluster_enabled": 1, "redis_mode": "cluster", "server_mode": "cluster"}, "cluster mode"),
    "an old cluster": ({"cluster_enabled": 1}, "use a standalone server"),
    "Sentinel": ({"server_mode": "sentinel"}, "sentinel mode"),
    "a replica": ({"role": "slave"}, "set VALKEY_URL to the primary"),
    "an old version": ({"redis_version": "6.0.16"}, "version 6.0.16 is too old"),
    "a very old version": ({"redis_version": "5.0"}, "version 5.0 is too old"),
    "another product": ({"dragonfly_version": "df-v1.25.0"}, "this server is Dragonfly"),
    "no room for its file": ({"aof_last_write_status": "err"}, "free up disk space"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str) -> None:
    changed, words = REFUSED[case]
    assert words in refusal(GOOD | changed)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"maxmemory": 0, "maxmemory_policy": "allkeys-lru"},
        {"redis_version": "8.0.0", "valkey_version": "8.1.1"},
        {"redis_version": "6.2.14"},
        {"redis_version": "unknown"},
        {"aof_enabled": 0, "aof_last_write_status": "err"},
        {"evicted_keys": 5},
    ],
)
def test_what_is_used(changed: dict[str, Any]) -> None:
    assert refusal(GOOD | changed) == ""


def test_what_is_said() -> None:
    assert (evicted(GOOD), volatile(GOOD)) == ("", "")
    assert "dropped 5 keys" in evicted(GOOD | {"evicted_keys": 5})
    assert "appendonly yes" in volatile(GOOD | {"aof_enabled": 0})


def test_the_least_that_a_server_tells_is_enough() -> None:
    """A product that leaves fields out is not refused for it."""
    assert (refusal({}), evicted({}), volatile({})) == ("", "", "")


def test_the_metric_follows_what_is_refused_or_dropped() -> None:
    metrics = Metrics()
    watch = ServerWatch(None, metrics)  # type: ignore[arg-type]
    found = []
    for changed in ({}, {"role": "slave"}, {"evicted_keys": 5}, {"aof_enabled": 0}):
        watch.update(GOOD | changed)
        found.append((metrics.registry.get_sample_value("scorer_store_settings_problem"), bool(watch.problem)))
    assert found == [(0, False), (1, False), (1, True), (0, False)]


@pytest.mark.parametrize("file", ["docker-compose.yml"])
def test_the_containers_evict_nothing(file: str) -> None:
    lines = [line.strip() for line in Path(file).read_text().splitlines()]
    assert lines[lines.index("- --maxmemory-policy") + 1] == "- noeviction"


def test_the_embedded_server_evicts_nothing(own_valkey: OwnValkey) -> None:
    assert "maxmemory-policy noeviction" in Path(own_valkey.client.info("server")["config_file"]).read_text()
